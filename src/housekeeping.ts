import { setTimeout as sleep } from 'node:timers/promises';
import { folderIsThere, identityAt } from './drop-folder/folder.ts';
import type { Folders } from './drop-folder/folders.ts';
import { pruneArchive, removeEmptyFolders } from './drop-folder/tidy.ts';
import type { Journal } from './journal/journal.ts';
import type { AbortUpload, EventLog } from './model.ts';
import { ServiceUnavailable } from './service/errors.ts';
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

  /** Multipart uploads that no file wants any more are billed until they are aborted. One that fails stops no other. */
  const abortOrphans = async () => {
    const failures: unknown[] = [];
    const orphans = journal.multipart.orphans();
    await journal.onDisk();
    for (const { uploadId, key } of orphans) {
      try {
        await options.abortUpload(key, uploadId, stop.signal);
        await journal.multipart.gone(uploadId);
      } catch (error) {
        if (stop.signal.aborted || error instanceof ServiceUnavailable) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  };

  const removeFolders = async () => {
    const { removeEmptyFoldersAfterHours } = options.limits();
    const removes = removeEmptyFoldersAfterHours > 0;
    // where none is ever removed, none need be remembered: the journal would keep each name for ever
    const due = journal.emptiedFolders.due(removes ? ago(removeEmptyFoldersAfterHours * hourMs) : new Date());
    if (removes) await removeEmptyFolders(dropFolder, due, stop.signal);
    await journal.emptiedFolders.forget(due);
  };

  const pruneOldArchive = async () => {
    const { archiveKeepDays } = options.limits();
    if (archive === undefined || archiveKeepDays === 0) return;
    await pruneArchive(archive, ago(archiveKeepDays * dayMs), stop.signal);
  };

  /** Files that stayed in the folder and were taken away by somebody: nothing need be remembered of them. */
  const forgetVanished = async () => {
    if (!(await folderIsThere(dropFolder))) return;
    let position = 0;
    for (;;) {
      const resting = journal.files.restingAfter(position, pathsAtOnce);
      const vanished: number[] = [];
      for (const file of resting) {
        stop.signal.throwIfAborted();
        // One that cannot be looked at (a folder without permission) is taken to be there still.
        const isThere = await identityAt(dropFolder, file.path).catch(() => true);
        if (isThere === undefined) vanished.push(file.position);
      }
      await journal.files.forgetResting(vanished);
      if (resting.length < pathsAtOnce) break;
      position = resting.at(-1)?.position ?? position;
    }
  };

  const forgetOld = async () => {
    await journal.storedObjects.prune(ago(options.rememberDays * dayMs));
    await journal.abandonedUploads.prune(ago(options.rememberDays * dayMs));
  };

  const { retryNotMovable } = options;
  const duties = { abortOrphans, retryNotMovable, removeFolders, pruneOldArchive, forgetVanished, forgetOld };

  const failing = new Set<string>();

  const perform = async (duty: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
      failing.delete(duty);
    } catch (error) {
      stop.signal.throwIfAborted();
      if (failing.has(duty)) return;
      failing.add(duty);
      log.warning('warning', { duty, ...errorFields(error) }, 'housekeeping is tried again every hour');
    }
  };

  const run = async (): Promise<void> => {
    for (;;) {
      for (const [duty, act] of Object.entries(duties)) await perform(duty, act);
      await sleep(hourMs, undefined, { signal: stop.signal });
    }
  };

  const running = run().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });

  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopping'));
      await running;
    },
  };
}
