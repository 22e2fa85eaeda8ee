import type { DatabaseSync } from 'node:sqlite';
import { v7 as uuidv7 } from 'uuid';
import type { RelativePath, SettledFile } from '../model.ts';
import { bytesOf, pathFromBytes } from '../service/path-bytes.ts';
import {
  type FileState,
  type KnownFile,
  onlyTouched,
  type QueuedFile,
  type QueueWindow,
  queuedFile,
  type RecordedFile,
  recordedFile,
  type SizeRange,
} from './file-rows.ts';
import { type Commit, commitInPieces } from './group-commit.ts';
import { identityFromText, identityText } from './identity-text.ts';

export type { FileState, KnownFile, QueuedFile, RecordedFile, SizeRange } from './file-rows.ts';

/** Rows of the queue that one look examines, so that a rare size does not make it long (2 ms). */
const examinedAtOnce = 10_000;

/** In these a file is left where it is, and nobody would notice if it were taken away. */
const statesOfStay = "'kept', 'not-movable', 'settling'";

export type FilesJournal = ReturnType<typeof createFilesJournal>;

export function createFilesJournal(database: DatabaseSync, commit: Commit) {
  const sql = (text: string) => database.prepare(text);
  const find = sql(
    `SELECT state, identity, rested_as, json_extract(disposition, '$.kind') AS fate FROM files WHERE path = ?`,
  );
  const insert = sql(
    `INSERT INTO files (path, file_id, identity, size, state, detected_at) VALUES (?, ?, ?, ?, 'queued', ?)`,
  );
  const remove = sql('DELETE FROM files WHERE path = ?');
  const removeById = sql('DELETE FROM files WHERE file_id = ?');
  // AUTOINCREMENT counts inserts alone. Positions must never return: a lane would have passed them by.
  const nextPosition = sql(`UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'files' RETURNING seq`);
  const lastPosition = sql(`SELECT seq FROM sqlite_sequence WHERE name = 'files'`);
  const requeue = sql(`
    UPDATE files SET position = ?, identity = ?, size = ?, rested_as = ?, state = 'queued', next_try_at = 0
    WHERE path = ?`);
  const examine = sql(`
    SELECT position FROM files WHERE state = 'queued' AND position > ? ORDER BY position
    LIMIT 1 OFFSET ${examinedAtOnce - 1}`);
  const selectQueued = sql(`
    SELECT * FROM files WHERE state = 'queued' AND position > ? AND position <= ? AND size BETWEEN ? AND ?
    ORDER BY position LIMIT ?`);
  const selectOneQueued = sql(`SELECT * FROM files WHERE state = 'queued' AND path = ?`);
  const selectRecorded = sql(`SELECT * FROM files WHERE state = 'recorded' AND position > ? ORDER BY position LIMIT ?`);
  const selectResting = sql(
    `SELECT position, path FROM files WHERE state IN (${statesOfStay}) AND position > ? ORDER BY position LIMIT ?`,
  );
  const retryNotMovable = sql(`UPDATE files SET state = 'recorded' WHERE state = 'not-movable'`);
  const begin = sql('UPDATE files SET key = ?, row_id = coalesce(row_id, ?) WHERE file_id = ?');
  const setUnanswered = sql('UPDATE files SET unanswered_sha256 = ? WHERE file_id = ?');
  const setFailed = sql('UPDATE files SET attempts = ?, next_try_at = ?, last_error = ? WHERE file_id = ?');
  const setState = sql('UPDATE files SET state = ? WHERE file_id = ?');
  const setUntouched = sql('UPDATE files SET state = rested_as, rested_as = NULL WHERE file_id = ? AND position = ?');
  const setResting = sql(`UPDATE files SET state = ? WHERE file_id = ? AND state = 'recorded'`);
  const removeQueued = sql(`DELETE FROM files WHERE file_id = ? AND position = ?`);
  const removeResting = sql(`DELETE FROM files WHERE position = ? AND state IN (${statesOfStay})`);
  const count = sql('SELECT state, files FROM file_counts WHERE files > 0');
  const oldest = sql('SELECT detected_at FROM files WHERE state = ? ORDER BY position LIMIT 1');

  /** One settled file into the queue; says whether that is news. */
  const settle = ({ path, identity, detectedAt }: SettledFile): boolean => {
    const bytes = bytesOf(path);
    const text = identityText(identity);
    const known = find.get(bytes);
    if (known === undefined) {
      insert.run(bytes, uuidv7(), text, identity.size, detectedAt.getTime());
      return true;
    }
    if (known['identity'] === text && known['state'] !== 'settling') return false;
    const isPending = known['state'] === 'queued' || known['state'] === 'settling';
    const restedAs = isPending ? known['rested_as'] : known['state'];
    const sameBytes = onlyTouched(identityFromText(String(known['identity'])), identity);
    if (restedAs !== null && sameBytes && known['fate'] === 'quarantine') return false;
    if (restedAs === null || sameBytes) {
      requeue.run(Number(nextPosition.get()?.['seq']), text, identity.size, restedAs ?? null, bytes);
    } else {
      remove.run(bytes);
      insert.run(bytes, uuidv7(), text, identity.size, detectedAt.getTime());
    }
    return true;
  };

  return {
    /** What is known of a path; undefined where nothing is. */
    known(path: RelativePath): KnownFile | undefined {
      const row = find.get(bytesOf(path));
      if (row === undefined) return undefined;
      return {
        state: row['state'] as FileState,
        // most who ask need the state alone
        get identity() {
          return identityFromText(String(row['identity']));
        },
      };
    },

    /** Puts settled files in the queue, in their order; resolves with how many of them were news. */
    settled(files: readonly SettledFile[]): Promise<number> {
      return commitInPieces(commit, files, (file) => Number(settle(file)));
    },

    /** The next files of the queue behind `position` whose size in bytes is in the range, later tries included. */
    queuedAfter(position: number, sizes: SizeRange, limit: number): QueueWindow {
      const examined = examine.get(position)?.['position'];
      const end = Number(examined ?? lastPosition.get()?.['seq'] ?? 0);
      const jobs = selectQueued.all(position, end, sizes.least, sizes.most, limit).map(queuedFile);
      const last = jobs.length === limit ? jobs.at(-1)?.position : undefined;
      return { jobs, upTo: Math.max(position, last ?? end), more: last !== undefined || examined !== undefined };
    },

    /** The file that waits under this path now; undefined where none does. */
    queued(path: RelativePath): QueuedFile | undefined {
      const row = selectOneQueued.get(bytesOf(path));
      return row === undefined ? undefined : queuedFile(row);
    },

    /** An attempt is about to begin under this key. The first one's row id stays: a key may be made of it. */
    attempt(fileId: string, key: string, rowId: string): Promise<void> {
      return commit(() => void begin.run(key, rowId, fileId));
    },

    /** The sha256 that is being stored and not yet answered; null once every attempt was answered. */
    unanswered(fileId: string, sha256: string | null): Promise<void> {
      return commit(() => void setUnanswered.run(sha256, fileId));
    },

    /** An attempt failed; the file stays in the queue until `nextTryAt`. */
    failed(fileId: string, attempts: number, nextTryAt: number, error: string): Promise<void> {
      return commit(() => void setFailed.run(attempts, nextTryAt, error, fileId));
    },

    /** It changed while it was read: it must come to rest again before it returns to the queue. */
    unsettle(fileId: string): Promise<void> {
      return commit(() => void setState.run('settling', fileId));
    },

    /** Its bytes turned out to be those that are stored: it goes back to what it was. */
    untouched({ fileId, position }: QueuedFile): Promise<void> {
      return commit(() => void setUntouched.run(fileId, position));
    },

    /** Its bytes turned out to be other ones than those stored: from here on it is another file in the queue. */
    renew(file: QueuedFile): Promise<void> {
      return commit(() => {
        if (removeQueued.run(file.fileId, file.position).changes > 0) settle(file);
      });
    },

    /** Files whose rows are in the ledger and whose disposal is due, behind `position`. */
    recordedAfter(position: number, limit: number): { position: number; file: RecordedFile }[] {
      return selectRecorded
        .all(position, limit)
        .map((row) => ({ position: Number(row['position']), file: recordedFile(row) }));
    },

    /** Disposal is over: moved files are forgotten, others rest where they are. */
    async disposed(done: readonly { readonly fileId: string; readonly rests: 'kept' | 'not-movable' | undefined }[]) {
      await commitInPieces(commit, done, ({ fileId, rests }) =>
        Number((rests === undefined ? removeById.run(fileId) : setResting.run(rests, fileId)).changes),
      );
    },

    /** Gives the files that could not be moved another chance; resolves with how many there are. */
    retryNotMovable(): Promise<number> {
      return commit(() => Number(retryNotMovable.run().changes));
    },

    /** The file is gone from the folder, and nothing of it is stored. */
    forget({ fileId, position }: QueuedFile): Promise<void> {
      return commit(() => void removeQueued.run(fileId, position));
    },

    /** Files that stay in the folder (kept, not movable) or must come to rest again, behind `position`. */
    restingAfter(position: number, limit: number): { position: number; path: RelativePath }[] {
      return selectResting
        .all(position, limit)
        .map((row) => ({ position: Number(row['position']), path: pathFromBytes(row['path'] as Uint8Array) }));
    },

    /** Files that rested at these positions are gone; another that came to the path meanwhile has a position of its own. */
    forgetResting(positions: readonly number[]): Promise<void> {
      return commit(() => {
        for (const position of positions) removeResting.run(position);
      });
    },

    /** How many files are in each state; those that have none are absent. */
    counts(): Partial<Record<FileState, number>> {
      return Object.fromEntries(count.all().map((row) => [row['state'], Number(row['files'])]));
    },

    /** When the first file of the queue was seen that has no ledger row yet. */
    oldestUnrecorded(): Date | undefined {
      const times = ['settling', 'queued', 'stored'].map((state) => oldest.get(state)?.['detected_at']);
      const known = times.filter((time) => typeof time === 'number');
      return known.length === 0 ? undefined : new Date(Math.min(...known));
    },
  };
}
