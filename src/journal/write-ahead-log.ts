import { closeSync, fdatasync, openSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { LocalFailure, messageOf } from '../service/errors.ts';

const syncData = promisify(fdatasync);

/**
 * From here on SQLite only writes its log at each commit, and `sync` has it on disk, off the event loop. (With
 * `synchronous=NORMAL` SQLite itself still syncs the log before it copies from it, and when it begins it anew.)
 */
export function syncApart(database: DatabaseSync, path: string) {
  database.exec('PRAGMA synchronous = NORMAL');
  const log = openSync(`${path}-wal`, 'r');
  return {
    /** Rejects with a `LocalFailure`. */
    async sync(): Promise<void> {
      try {
        await syncData(log);
      } catch (cause) {
        throw new LocalFailure(`the journal ${path} cannot be written to disk: ${messageOf(cause)}`, {
          hint: 'check the disk that it is on (dmesg); the next start goes on from what is there',
          cause,
        });
      }
    },
    close: () => closeSync(log),
  };
}
