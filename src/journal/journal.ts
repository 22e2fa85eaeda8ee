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
import { syncApart } from './write-ahead-log.ts';

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
  /** Resolves once all that can be read now is on disk. */
  onDisk(): Promise<void>;
  /** Rejects with a `LocalFailure` once the disk failed to take what was committed: only a new start helps. */
  readonly failed: Promise<never>;
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
  const lineage = takeUpLineage(database, { path, isNew: found.kind === 'new' });
  const origin = originOf(found, lineage);
  if (lineage === 'copy') database.exec(forgetNumbers);
  if (database.prepare('SELECT 1 FROM chain').get() === undefined) {
    database.prepare('INSERT INTO chain (id, seq, head) VALUES (?, 0, NULL)').run(uuidv7());
  }
  const log = syncApart(database, path);
  const { commit, onDisk, failed } = createGroupCommit(database, log.sync);
  const storedObjects = createStoredObjectsJournal(database, commit);
  const multipart = createMultipartJournal(database, commit);
  const abandonedUploads = createAbandonedUploadsJournal(database, commit);
  if (origin.kind !== 'kept' && origin.kind !== 'new') abandonedUploads.noteGap(new Date());
  return {
    origin,
    files: createFilesJournal(database, commit),
    storedObjects,
    multipart,
    abandonedUploads,
    outbox: createOutboxJournal(database, { commit, onDisk }, { storedObjects, multipart, rowHash }),
    emptiedFolders: createEmptiedFoldersJournal(database, commit),
    historyOf: createPathHistory(database),
    relearn: createRelearning(database, commit, storedObjects),
    onDisk,
    failed,
    async [Symbol.asyncDispose]() {
      await commit(() => undefined).catch(() => undefined); // whatever was asked for before is on disk, or was refused
      database.close();
      log.close();
    },
  };
}

function originOf(found: JournalOrigin, lineage: ReturnType<typeof takeUpLineage>): JournalOrigin {
  if (lineage === 'copy' && found.kind === 'kept') return { kind: 'copy' };
  return lineage === 'replacement' ? { kind: 'lost' } : found;
}
