import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { v7 as uuidv7 } from 'uuid';
import type { Disposition, FileIdentity, RelativePath, SettledFile } from '../model.ts';
import { bytesOf, pathFromBytes } from '../service/path-bytes.ts';
import type { Commit } from './group-commit.ts';
import { identityFromText, identityText } from './identity-text.ts';

/**
 * The state of a path, as a machine:
 *
 *   (unknown) ── settled ──▶ queued ── outcome ──▶ stored ── row in Postgres ──▶ recorded ──▶ (moved away, forgotten)
 *                              ▲  │                                                 ├──▶ kept         (afterUpload: keep)
 *                   settled    │  │ changed while it was read                       └──▶ not-movable  (permissions)
 *                              settling
 *
 * In any state, a file that settles with another identity is another file: it starts as `queued`.
 */
export type FileState = 'settling' | 'queued' | 'stored' | 'recorded' | 'kept' | 'not-movable';

/** What the journal knows of the file at a path. */
export interface KnownFile {
  readonly state: FileState;
  readonly identity: FileIdentity;
}

/** A file that waits for its upload, with what earlier attempts left behind. */
export interface QueuedFile extends SettledFile {
  /** Grows with each time it is put in the queue: the order of the queue. */
  readonly position: number;
  readonly fileId: string;
  /** Attempts that failed so far. */
  readonly attempts: number;
  /** Milliseconds since 1970; 0 for at once. */
  readonly nextTryAt: number;
  /** Why the last attempt failed. */
  readonly lastError: string | undefined;
  /** The key that the last attempt used. */
  readonly key: string | undefined;
  /** A put of these bytes under `key` went out and was never answered. */
  readonly unansweredSha256: string | undefined;
  /** The id that its ledger row will have, where a key made of it was needed. */
  readonly rowId: string | undefined;
  /** It rested in the folder as this, recorded, until its mode or owner changed: most likely the same bytes. */
  readonly restedAs: 'kept' | 'not-movable' | undefined;
}

/** Bytes, both included. */
export interface SizeRange {
  readonly least: number;
  readonly most: number;
}

/** A file whose row is in the ledger: what became of it may now be done. */
export interface RecordedFile {
  readonly path: RelativePath;
  readonly fileId: string;
  readonly identity: FileIdentity;
  readonly disposition: Disposition;
}

export type FilesJournal = ReturnType<typeof createFilesJournal>;

export function createFilesJournal(database: DatabaseSync, commit: Commit) {
  const sql = (text: string) => database.prepare(text);
  const find = sql('SELECT state, identity, file_id FROM files WHERE path = ?');
  const insert = sql(
    `INSERT INTO files (path, file_id, identity, size, state, detected_at) VALUES (?, ?, ?, ?, 'queued', ?)`,
  );
  const remove = sql('DELETE FROM files WHERE path = ?');
  const removeById = sql('DELETE FROM files WHERE file_id = ?');
  const requeueChanged = sql(`
    UPDATE files SET identity = ?, size = ?, rested_as = ?, state = 'queued', next_try_at = 0,
      position = (SELECT coalesce(max(position), 0) + 1 FROM files) WHERE path = ?`);
  const selectQueued = sql(`
    SELECT * FROM files WHERE state = 'queued' AND position > ? AND size BETWEEN ? AND ? ORDER BY position LIMIT ?`);
  const selectOneQueued = sql(`SELECT * FROM files WHERE state = 'queued' AND path = ?`);
  const selectRecorded = sql(`SELECT * FROM files WHERE state = 'recorded' AND position > ? ORDER BY position LIMIT ?`);
  const selectResting = sql(
    `SELECT position, path FROM files WHERE state IN ('kept', 'not-movable') AND position > ? ORDER BY position LIMIT ?`,
  );
  const retryNotMovable = sql(`UPDATE files SET state = 'recorded' WHERE state = 'not-movable'`);
  const begin = sql(
    'UPDATE files SET key = ?, row_id = coalesce(row_id, ?), started_at = coalesce(started_at, ?) WHERE file_id = ?',
  );
  const setUnanswered = sql('UPDATE files SET unanswered_sha256 = ? WHERE file_id = ?');
  const setFailed = sql('UPDATE files SET attempts = ?, next_try_at = ?, last_error = ? WHERE file_id = ?');
  const setState = sql('UPDATE files SET state = ? WHERE file_id = ?');
  const setResting = sql('UPDATE files SET state = ?, rested_as = NULL WHERE file_id = ?');
  const count = sql('SELECT state, count(*) AS files FROM files GROUP BY state');
  const oldest = sql(`SELECT min(detected_at) AS at FROM files WHERE state IN ('settling', 'queued', 'stored')`);

  /** One settled file into the queue; says whether that is news. */
  const settle = ({ path, identity, detectedAt }: SettledFile): boolean => {
    const bytes = bytesOf(path);
    const text = identityText(identity);
    const known = find.get(bytes);
    if (known === undefined) {
      insert.run(bytes, uuidv7(), text, identity.size, detectedAt.getTime());
      return true;
    }
    const pending = known['state'] === 'queued' || known['state'] === 'settling';
    if (known['identity'] === text && known['state'] !== 'settling') return false;
    const restedAs = known['state'] === 'kept' || known['state'] === 'not-movable' ? known['state'] : null;
    if (pending) {
      requeueChanged.run(text, identity.size, null, bytes);
    } else if (restedAs !== null && onlyTouched(identityFromText(String(known['identity'])), identity)) {
      requeueChanged.run(text, identity.size, restedAs, bytes);
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
      return { state: row['state'] as FileState, identity: identityFromText(String(row['identity'])) };
    },

    /** Puts settled files in the queue, in their order; resolves with how many of them were news. */
    settled(files: readonly SettledFile[]): Promise<number> {
      return commit(() => files.reduce((news, file) => news + Number(settle(file)), 0));
    },

    /** The next files of the queue behind `position` whose size in bytes is in the range, later tries included. */
    queuedAfter(position: number, sizes: SizeRange, limit: number): QueuedFile[] {
      return selectQueued.all(position, sizes.least, sizes.most, limit).map(queuedFile);
    },

    /** The file that waits under this path now; undefined where none does. */
    queued(path: RelativePath): QueuedFile | undefined {
      const row = selectOneQueued.get(bytesOf(path));
      return row === undefined ? undefined : queuedFile(row);
    },

    /** An attempt is about to begin: its key, and the row id that the key is made of (if it is). */
    attempt(fileId: string, key: string, rowId: string | undefined, startedAt: Date): Promise<void> {
      return commit(() => void begin.run(key, rowId ?? null, startedAt.getTime(), fileId));
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

    /** Its bytes turned out to be other ones than those recorded: from here on it is another file. */
    renew(file: QueuedFile): Promise<void> {
      return commit(() => {
        removeById.run(file.fileId);
        settle(file);
      });
    },

    /** Files whose rows are in the ledger and whose disposal is due, behind `position`. */
    recordedAfter(position: number, limit: number): { position: number; file: RecordedFile }[] {
      return selectRecorded
        .all(position, limit)
        .map((row) => ({ position: Number(row['position']), file: recordedFile(row) }));
    },

    /** Disposal is over: moved files are forgotten, others rest where they are. */
    disposed(done: readonly { readonly fileId: string; readonly rests: 'kept' | 'not-movable' | undefined }[]) {
      return commit(() => {
        for (const { fileId, rests } of done) {
          if (rests === undefined) removeById.run(fileId);
          else setResting.run(rests, fileId);
        }
      });
    },

    /** Gives the files that could not be moved another chance; resolves with how many there are. */
    retryNotMovable(): Promise<number> {
      return commit(() => Number(retryNotMovable.run().changes));
    },

    /** The file is gone from the folder, and nothing of it is stored. */
    forget(fileId: string): Promise<void> {
      return commit(() => void removeById.run(fileId));
    },

    /** Paths that stay in the folder (kept, not movable), behind `position`. */
    restingAfter(position: number, limit: number): { position: number; path: RelativePath }[] {
      return selectResting
        .all(position, limit)
        .map((row) => ({ position: Number(row['position']), path: pathFromBytes(row['path'] as Uint8Array) }));
    },

    forgetPaths(paths: readonly RelativePath[]): Promise<void> {
      return commit(() => {
        for (const path of paths) remove.run(bytesOf(path));
      });
    },

    /** How many files are in each state. */
    counts(): Partial<Record<FileState, number>> {
      return Object.fromEntries(count.all().map((row) => [row['state'], Number(row['files'])]));
    },

    /** When the file was first seen that has waited longest for its ledger row. */
    oldestUnrecorded(): Date | undefined {
      const at = oldest.get()?.['at'];
      return typeof at === 'number' ? new Date(at) : undefined;
    },
  };
}

/** Nothing but the ctime differs: mode, owner or links changed, or somebody set the mtime back. */
const onlyTouched = (one: FileIdentity, other: FileIdentity): boolean =>
  identityText({ ...one, ctimeNs: 0n }) === identityText({ ...other, ctimeNs: 0n });

type Row = Record<string, SQLOutputValue>;

const textOrUndefined = (value: SQLOutputValue | undefined) => (typeof value === 'string' ? value : undefined);

const queuedFile = (row: Row): QueuedFile => ({
  position: Number(row['position']),
  path: pathFromBytes(row['path'] as Uint8Array),
  identity: identityFromText(String(row['identity'])),
  detectedAt: new Date(Number(row['detected_at'])),
  fileId: String(row['file_id']),
  attempts: Number(row['attempts']),
  nextTryAt: Number(row['next_try_at']),
  lastError: textOrUndefined(row['last_error']),
  key: textOrUndefined(row['key']),
  unansweredSha256: textOrUndefined(row['unanswered_sha256']),
  rowId: textOrUndefined(row['row_id']),
  restedAs: textOrUndefined(row['rested_as']) as QueuedFile['restedAs'],
});

const recordedFile = (row: Row): RecordedFile => ({
  path: pathFromBytes(row['path'] as Uint8Array),
  fileId: String(row['file_id']),
  identity: identityFromText(String(row['identity'])),
  disposition: JSON.parse(String(row['disposition'])) as Disposition,
});
