import { realpathSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { v7 as uuidv7 } from 'uuid';
import { type AbandonedUploadsJournal, createAbandonedUploadsJournal, noteMemoryGap } from './abandoned-uploads.ts';
import { type JournalOrigin, openDatabase, whyNotOpened } from './database.ts';
import { createEmptiedFoldersJournal, type EmptiedFoldersJournal } from './emptied-folders.ts';
import { createFilesJournal, type FilesJournal } from './files.ts';
import { createGroupCommit } from './group-commit.ts';
import { type Lineage, takeUpLineage, witnessOf } from './lineage.ts';
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

export interface JournalOptions {
  readonly path: string;
  readonly rowHash: RowHash;
  /** Whether files were taken out of the drop folder before: a journal that begins now is then not the first. */
  readonly tookFilesBefore?: boolean;
}

/**
 * Opens the journal at `path`, beginning a new one where there is none or where it is corrupt.
 * @throws LocalFailure where its folder cannot be written, or a newer release wrote it.
 */
export function openJournal({ path: given, rowHash, tookFilesBefore = false }: JournalOptions): Journal {
  const path = resolved(given);
  const { database, origin: found } = openDatabase(path);
  const lineage = takeUpOrExplain(database, path, (which) => {
    if (which === 'copy') forgetNumbers(database);
    const knewMore = which === 'copy' || which === 'replacement' || (which === 'first' && tookFilesBefore);
    if (knewMore || found.kind === 'corrupt') noteMemoryGap(database, new Date());
    if (database.prepare('SELECT 1 FROM chain').get() === undefined) {
      database.prepare('INSERT INTO chain (id, seq, head) VALUES (?, 0, NULL)').run(uuidv7());
    }
  });
  const origin = originOf(found, lineage);
  const log = syncApart(database, path);
  const { commit, onDisk, failed } = createGroupCommit(database, log.sync);
  const storedObjects = createStoredObjectsJournal(database, commit);
  const multipart = createMultipartJournal(database, commit);
  return {
    origin,
    files: createFilesJournal(database, commit),
    storedObjects,
    multipart,
    abandonedUploads: createAbandonedUploadsJournal(database, commit),
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

/** SQLite follows links, and keeps its log beside what they lead to. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * An earlier copy has numbers of rows, and ids, that the ledger may know by now: used again they would fork the chain, and
 * Postgres would take a new row for one that it has.
 */
const forgetNumbers = (database: DatabaseSync) => database.exec('DELETE FROM chain; UPDATE files SET row_id = NULL');

function takeUpOrExplain(database: DatabaseSync, path: string, follow: (lineage: Lineage) => void): Lineage {
  try {
    return takeUpLineage(database, path, follow);
  } catch (error) {
    database.close();
    throw whyNotOpened(path, error);
  }
}

function originOf(found: JournalOrigin, lineage: Lineage): JournalOrigin {
  if (found.kind === 'corrupt') return found;
  if (lineage === 'copy') return { kind: 'copy' };
  return lineage === 'replacement' ? { kind: 'lost' } : found;
}
