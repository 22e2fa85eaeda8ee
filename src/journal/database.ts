import { existsSync, renameSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { LocalFailure, messageOf } from '../service/errors.ts';

/**
 * The journal's file: SQLite in WAL mode. What is committed is on disk before the act that it announces: until it is open
 * SQLite sees to that (`synchronous=FULL`), from then on `write-ahead-log.ts`.
 *
 *   files              each path that is to be uploaded, recorded, moved, or left alone; one row a path
 *   file_counts        how many of them are in each state: counting a million takes too long to do every few seconds
 *   stored_objects     what was stored under which path and key (duplicates and taken keys are known by it)
 *   multipart_uploads  started and neither completed nor aborted; their parts in `parts`
 *   abandoned_uploads  keys under which an object may lie that nobody can ask for any more (`abandoned-uploads.ts`)
 *   memory_gaps        when this journal took the place of another that knew more
 *   outbox             serialised ledger rows that Postgres has not committed yet, in order
 *   chain              the journal's hash chain: its id, and the number and hash of the last row
 *   lineage            tells a restored copy from the journal that went on (`lineage.ts`)
 *   emptied_folders    folders that uploads have emptied, to be removed later
 */
const schema = `
  CREATE TABLE files (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    file_id TEXT NOT NULL,
    identity TEXT NOT NULL,
    size INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('settling', 'queued', 'stored', 'recorded', 'kept', 'not-movable')),
    detected_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    key TEXT,
    unanswered_sha256 TEXT,
    row_id TEXT,
    disposition TEXT,
    rested_as TEXT
  ) STRICT;
  CREATE INDEX files_by_state ON files (state, position);
  CREATE INDEX files_by_id ON files (file_id);

  CREATE TABLE file_counts (state TEXT PRIMARY KEY, files INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER file_counted AFTER INSERT ON files BEGIN
    INSERT INTO file_counts VALUES (new.state, 1) ON CONFLICT DO UPDATE SET files = files + 1;
  END;
  CREATE TRIGGER file_uncounted AFTER DELETE ON files BEGIN
    UPDATE file_counts SET files = files - 1 WHERE state = old.state;
  END;
  CREATE TRIGGER file_recounted AFTER UPDATE OF state ON files WHEN new.state <> old.state BEGIN
    UPDATE file_counts SET files = files - 1 WHERE state = old.state;
    INSERT INTO file_counts VALUES (new.state, 1) ON CONFLICT DO UPDATE SET files = files + 1;
  END;

  CREATE TABLE stored_objects (
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    ledger_id TEXT NOT NULL,
    stored_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX stored_objects_by_path ON stored_objects (path, size);
  CREATE INDEX stored_objects_by_key ON stored_objects (key);
  CREATE INDEX stored_objects_by_time ON stored_objects (stored_at);

  CREATE TABLE multipart_uploads (
    upload_id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    file_id TEXT NOT NULL,
    identity TEXT NOT NULL,
    part_size INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX multipart_uploads_by_file ON multipart_uploads (file_id);
  CREATE TABLE parts (
    upload_id TEXT NOT NULL REFERENCES multipart_uploads ON DELETE CASCADE,
    number INTEGER NOT NULL,
    etag TEXT NOT NULL,
    crc32 INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (upload_id, number)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    row TEXT NOT NULL,
    set_aside TEXT
  ) STRICT;
  CREATE INDEX outbox_waiting ON outbox (position) WHERE set_aside IS NULL;
  CREATE INDEX outbox_set_aside ON outbox (position) WHERE set_aside IS NOT NULL;

  CREATE TABLE chain (id TEXT NOT NULL, seq INTEGER NOT NULL, head TEXT) STRICT;
  CREATE TABLE emptied_folders (path BLOB PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

const schemaVersion = 1;

/**
 * What was found: `kept`, a `copy` that may be of an earlier time, or why it had to begin anew. `lost`: one was here
 * before. (Where nothing is left that tells of it, it is `new`.)
 */
export type JournalOrigin =
  | { readonly kind: 'kept' | 'new' | 'copy' | 'lost' }
  | { readonly kind: 'corrupt'; readonly movedTo: string };

/**
 * Opens the journal, or begins a new one; a corrupt file is moved aside, never deleted.
 * @throws LocalFailure where the folder cannot be written, or the journal comes from a newer release.
 */
export function openDatabase(path: string): { database: DatabaseSync; origin: JournalOrigin } {
  try {
    const { database, isNew } = connect(path);
    return { database, origin: { kind: isNew ? 'new' : 'kept' } };
  } catch (error) {
    if (!isCorrupt(error)) throw whyNotOpened(path, error);
    const movedTo = `${path}.corrupt-${new Date().toISOString().replaceAll(':', '')}`;
    for (const suffix of ['', '-wal', '-shm']) {
      if (existsSync(path + suffix)) renameSync(path + suffix, movedTo + suffix);
    }
    return { database: connect(path).database, origin: { kind: 'corrupt', movedTo } };
  }
}

/** Bytes of a journal that is checked whole at each start; a larger one (0.5 s/100 MB) only after an unclean stop. */
const alwaysCheckedBytes = 32 * 2 ** 20;

function connect(path: string): { database: DatabaseSync; isNew: boolean } {
  const uncleanStop = existsSync(`${path}-wal`);
  const database = new DatabaseSync(path, { timeout: 2000, enableForeignKeyConstraints: true });
  try {
    // Exclusive: two daemons with one journal would take each other's paths for their own and lose files.
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY',
    );
    const isNew = prepareSchema(database, path);
    // What is read may be in the system's memory alone, where a disk failed: this writes it down.
    if (uncleanStop) database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    if (uncleanStop || statSync(path).size < alwaysCheckedBytes) quickCheck(database);
    database.exec('BEGIN IMMEDIATE; COMMIT'); // SQLite opens what it may not write, and says so at the first write
    return { database, isNew };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Says whether the journal begins here: a file that was cut to nothing is as lost as one that is missing. */
function prepareSchema(database: DatabaseSync, path: string): boolean {
  const found = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  if (found > schemaVersion) {
    throw new LocalFailure(`the journal ${path} was written by a newer dropledger (version ${found})`, {
      hint: 'install that release again, or name another journal.path',
    });
  }
  if (found === 0) database.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT`);
  return found === 0;
}

function quickCheck(database: DatabaseSync): void {
  const verdict = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (verdict !== 'ok') throw new CorruptJournal(String(verdict));
}

class CorruptJournal extends Error {}

const sqliteBusy = 5;
const sqliteCorrupt = 11;
const sqliteNotADatabase = 26;

/** The primary result code; the extended ones carry more in the bytes above. */
const resultCodeOf = (error: unknown): number => Number((error as { errcode?: unknown } | null)?.errcode) & 0xff;

function isCorrupt(error: unknown): boolean {
  const code = resultCodeOf(error);
  return error instanceof CorruptJournal || code === sqliteCorrupt || code === sqliteNotADatabase;
}

/** What a failure to open the journal is to people. */
export function whyNotOpened(path: string, error: unknown): Error {
  if (error instanceof LocalFailure) return error;
  if (resultCodeOf(error) === sqliteBusy) {
    return new LocalFailure(`the journal ${path} is in use by another process`, {
      hint: 'one journal a daemon: stop the other one, or name another journal.path',
      cause: error,
    });
  }
  return new LocalFailure(`the journal ${path} cannot be opened: ${messageOf(error)}`, {
    hint: 'its folder must exist and be writable by the service user; under systemd StateDirectory= makes it',
    cause: error,
  });
}
