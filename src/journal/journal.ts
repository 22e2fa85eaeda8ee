import { v7 as uuidv7 } from 'uuid';
import { type AbandonedUploadsJournal, createAbandonedUploadsJournal } from './abandoned-uploads.ts';
import { type JournalOrigin, openDatabase } from './database.ts';
import { createEmptiedFoldersJournal, type EmptiedFoldersJournal } from './emptied-folders.ts';
import { createFilesJournal, type FilesJournal } from './files.ts';
import { createGroupCommit } from './group-commit.ts';
import { takeUpLineage, witnessOf } from './lineage.ts';
import { createMultipartJournal, type MultipartJournal } from './multipart-uploads.ts';
import { createOutboxJournal, type OutboxJournal, type RowHash } from './outbox.ts';
import { createPathHistory, type HistoryOf } from './path-history.ts';
import { createRelearning, type Relearn } from './relearn.ts';
import { createStoredObjectsJournal, type StoredObjectsJournal } from './stored-objects.ts';

/** The daemon's local memory. It survives `kill -9` and power loss; losing it loses no file. */
export interface Journal extends AsyncDisposable {
  readonly origin: JournalOrigin;
  readonly files: FilesJournal;
  readonly storedObjects: StoredObjectsJournal;
  readonly multipart: MultipartJournal;
  readonly abandonedUploads: AbandonedUploadsJournal;
  readonly outbox: OutboxJournal;
  readonly emptiedFolders: EmptiedFoldersJournal;
  /** For people who ask about one file. */
  readonly historyOf: HistoryOf;
  /** For a journal that was lost. */
  readonly relearn: Relearn;
}

/** All files that a journal at `path` may consist of. */
export const journalFiles = (path: string): string[] => [path, `${path}-wal`, `${path}-shm`, witnessOf(path)];

/**
 * An earlier copy has numbers of rows, and ids, that the ledger may know by now: used again they would fork the chain, and
 * Postgres would take a new row for one that it has.
 */
const forgetNumbers = 'BEGIN IMMEDIATE; DELETE FROM chain; UPDATE files SET row_id = NULL; COMMIT';

/**
 * Opens the journal at `path`, beginning a new one where there is none or where it is corrupt.
 * @throws LocalFailure where its folder cannot be written, or a newer release wrote it.
 */
export function openJournal({ path, rowHash }: { path: string; rowHash: RowHash }): Journal {
  const { database, origin: found } = openDatabase(path);
  const isCopy = takeUpLineage(database, path) === 'copy';
  const origin: JournalOrigin = isCopy && found.kind === 'kept' ? { kind: 'copy' } : found;
  if (isCopy) database.exec(forgetNumbers);
  if (database.prepare('SELECT 1 FROM chain').get() === undefined) {
    database.prepare('INSERT INTO chain (id, seq, head) VALUES (?, 0, NULL)').run(uuidv7());
  }
  const commit = createGroupCommit(database);
  const storedObjects = createStoredObjectsJournal(database, commit);
  const multipart = createMultipartJournal(database, commit);
  return {
    origin,
    files: createFilesJournal(database, commit),
    storedObjects,
    multipart,
    abandonedUploads: createAbandonedUploadsJournal(database, commit),
    outbox: createOutboxJournal(database, commit, { storedObjects, multipart, rowHash }),
    emptiedFolders: createEmptiedFoldersJournal(database, commit),
    historyOf: createPathHistory(database),
    relearn: createRelearning(database, commit, storedObjects),
    async [Symbol.asyncDispose]() {
      try {
        await commit(() => undefined); // whatever was asked for before is on disk
      } finally {
        database.close();
      }
    },
  };
}
