import { createHelperThread } from '../service/helper-thread.ts';
import { createDisposer, type DisposableFile, type Disposal, type Dispose, type DisposeOptions } from './dispose.ts';
import type { DisposeJob, DisposeThreadData, FolderPlace } from './dispose-thread.ts';
import type { Folder } from './folder.ts';

/** Fewer files are moved by libuv's pool: to start the other thread takes a twentieth of a second and some megabytes. */
const defaultLeastForThread = 32;

export interface BatchDisposeOptions extends DisposeOptions {
  /** So many files at once go to the other thread. */
  readonly leastForThread?: number;
}

/**
 * Disposes of files as `createDisposer` does, and of many at once on a thread of its own: a move takes 120 µs, most of
 * which is waiting for the file system's journal.
 */
export function createBatchDisposer(options: BatchDisposeOptions): { readonly dispose: Dispose } & AsyncDisposable {
  const { folders, afterUpload, settleMs, graceOver, leastForThread = defaultLeastForThread } = options;
  const disposeHere = createDisposer(options);
  const { dropFolder, quarantine, archive } = folders;
  const thread = createHelperThread<DisposeJob, readonly Disposal[]>({
    ...{ module: './dispose-thread', besides: import.meta.url },
    workerData: {
      ...{ dropFolder: placeOf(dropFolder), quarantine: placeOf(quarantine), archive: archive && placeOf(archive) },
      ...{ afterUpload, settleMs },
    } satisfies DisposeThreadData,
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  });
  const tellGraceOver = (): void => void thread.ask('grace-over').catch(() => undefined); // whoever waits is told
  graceOver?.addEventListener('abort', () => {
    if (thread.isRunning()) tellGraceOver();
  });

  const disposeThere = async <File extends DisposableFile>(files: readonly File[]): Promise<Map<File, Disposal>> => {
    if (graceOver?.aborted) tellGraceOver();
    const disposals = await thread.ask(
      files.map(({ path, identity, disposition }) => ({ path, identity, disposition })),
    );
    return new Map(files.map((file, at) => [file, disposals[at] as Disposal]));
  };

  return {
    dispose: (files) => (files.length < leastForThread ? disposeHere(files) : disposeThere(files)),
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  };
}

const placeOf = ({ path, dev, ino }: Folder): FolderPlace => ({ path, dev, ino });
