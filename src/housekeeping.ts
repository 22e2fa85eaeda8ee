import { setTimeout as sleep } from 'node:timers/promises';
import { identityAt } from './drop-folder/folder.ts';
import type { Folders } from './drop-folder/folders.ts';
import { folderIsThere } from './drop-folder/intake.ts';
import { pruneArchive, removeEmptyFolders } from './drop-folder/tidy.ts';
import type { Journal } from './journal/journal.ts';
import type { AbortUpload, EventLog, RelativePath } from './model.ts';
import { errorFields } from './service/log-error.ts';

export interface HousekeepingOptions {
  readonly journal: Journal;
  readonly folders: Folders;
  /** Asked each time; 0 for never. */
  limits(): { readonly archiveKeepDays: number; readonly removeEmptyFoldersAfterHours: number };
  readonly rememberDays: number;
  readonly abortUpload: AbortUpload;
  /** Gives files that could not be moved another chance. */
  retryNotMovable(): Promise<void>;
  readonly log: EventLog;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const pathsAtOnce = 1000;

/** What is done now and then: at start, and every hour. None of it is urgent; a failure is said and tried again. */
export function createHousekeeping(options: HousekeepingOptions) {
  const { journal, log } = options;
  const { dropFolder, archive } = options.folders;
  const stop = new AbortController();
  const ago = (ms: number) => new Date(Date.now() - ms);

  /** Multipart uploads that no file wants any more are billed until they are aborted. */
  const abortOrphans = async () => {
    for (const { uploadId, key } of journal.multipart.orphans()) {
      await options.abortUpload(key, uploadId, stop.signal);
      await journal.multipart.gone(uploadId);
    }
  };

  const removeFolders = async () => {
    const { removeEmptyFoldersAfterHours } = options.limits();
    if (removeEmptyFoldersAfterHours === 0) return;
    const due = journal.emptiedFolders.due(ago(removeEmptyFoldersAfterHours * hourMs));
    await removeEmptyFolders(dropFolder, due);
    await journal.emptiedFolders.forget(due);
  };

  const pruneOldArchive = async () => {
    const { archiveKeepDays } = options.limits();
    if (archive === undefined || archiveKeepDays === 0) return;
    await pruneArchive(archive, ago(archiveKeepDays * dayMs), stop.signal);
  };

  /** Files that rested in the folder and were taken away by somebody: nothing need be remembered of them. */
  const forgetVanished = async () => {
    if (!(await folderIsThere(dropFolder))) return;
    let position = 0;
    for (;;) {
      const resting = journal.files.restingAfter(position, pathsAtOnce);
      const vanished: RelativePath[] = [];
      for (const { path } of resting) {
        stop.signal.throwIfAborted();
        if ((await identityAt(dropFolder, path)) === undefined) vanished.push(path);
      }
      await journal.files.forgetPaths(vanished);
      if (resting.length < pathsAtOnce) break;
      position = resting.at(-1)?.position ?? position;
    }
  };

  const forgetOld = async () => {
    await journal.storedObjects.prune(ago(options.rememberDays * dayMs));
  };

  const { retryNotMovable } = options;
  const duties = { abortOrphans, retryNotMovable, removeFolders, pruneOldArchive, forgetVanished, forgetOld };

  const run = async (): Promise<void> => {
    for (;;) {
      for (const [duty, perform] of Object.entries(duties)) {
        await perform().catch((error: unknown) => {
          stop.signal.throwIfAborted();
          log.debug('housekeeping is tried again in an hour', { duty, ...errorFields(error) });
        });
      }
      await sleep(hourMs, undefined, { signal: stop.signal });
    }
  };

  const running = run().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });

  return {
    abortOrphans,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopping'));
      await running;
    },
  };
}
