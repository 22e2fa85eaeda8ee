import { workerData } from 'node:worker_threads';
import { doJobs, giveWay } from '../service/helper-thread.ts';
import { createDisposer, type DisposableFile, type Disposal, type DisposeOptions } from './dispose.ts';
import { blockingFileCalls } from './file-calls.ts';
import type { Folder } from './folder.ts';

/** The other thread of `dispose-in-batches.ts`. */
export type DisposeJob = readonly DisposableFile[] | 'grace-over';

/** What crosses to another thread: a folder without its functions. */
export type FolderPlace = Omit<Folder, 'calls'>;

export interface DisposeThreadData extends Pick<DisposeOptions, 'afterUpload' | 'settleMs'> {
  readonly dropFolder: FolderPlace;
  readonly quarantine: FolderPlace;
  readonly archive: FolderPlace | undefined;
}

const { dropFolder, quarantine, archive, ...options } = workerData as DisposeThreadData;
const here = ({ path, ...place }: FolderPlace): Folder => ({
  ...place,
  path: Buffer.from(path), // on the way it became a plain Uint8Array
  calls: blockingFileCalls,
});
const grace = new AbortController();
const dispose = createDisposer({
  ...options,
  folders: {
    dropFolder: here(dropFolder),
    quarantine: here(quarantine),
    archive: archive === undefined ? undefined : here(archive),
  },
  graceOver: grace.signal,
});

giveWay();

/** In the order of the files. */
doJobs<DisposeJob, readonly (Disposal | undefined)[]>(async (job) => {
  if (job === 'grace-over') {
    grace.abort();
    return [];
  }
  const done = await dispose(job);
  return job.map((file) => done.get(file));
});
