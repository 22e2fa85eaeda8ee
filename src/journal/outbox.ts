import type { DatabaseSync } from 'node:sqlite';
import { v7 as uuidv7 } from 'uuid';
import type { Disposition, LedgerRow, OutboxRow, OutboxStore } from '../model.ts';
import { onlyTouched, type QueuedFile } from './file-rows.ts';
import { commitInPieces, type GroupCommit } from './group-commit.ts';
import { identityFromText } from './identity-text.ts';
import type { MultipartJournal } from './multipart-uploads.ts';
import type { StoredContent, StoredObjectsJournal } from './stored-objects.ts';

/** A ledger row before it has its place in the chain. */
export type UnchainedRow = Omit<LedgerRow, 'chain' | 'seq' | 'previous_hash' | 'row_hash'>;

/** What one pass of a file came to: all of it is committed together. */
export interface Outcome {
  readonly row: UnchainedRow;
  /** The file as the pass began with it. */
  readonly file: Pick<QueuedFile, 'position' | 'identity'>;
  readonly disposition: Disposition;
  /** The object that was stored by this pass; absent for duplicates and failures. */
  readonly stored?: StoredContent;
}

/** Hex sha256 over the canonical form of a row: `ledger/row-hash.ts`. */
export type RowHash = (row: Omit<LedgerRow, 'row_hash'>) => string;

export type OutboxJournal = ReturnType<typeof createOutboxJournal>;

export function createOutboxJournal(
  database: DatabaseSync,
  { commit, onDisk }: Pick<GroupCommit, 'commit' | 'onDisk'>,
  rooms: { storedObjects: StoredObjectsJournal; multipart: MultipartJournal; rowHash: RowHash },
) {
  const chain = database.prepare('SELECT id, seq, head FROM chain');
  const advance = database.prepare('UPDATE chain SET seq = ?, head = ?');
  const insert = database.prepare('INSERT INTO outbox (id, file_id, row) VALUES (?, ?, ?)');
  const find = database.prepare('SELECT position, identity FROM files WHERE file_id = ?');
  const setOutcome = database.prepare(
    `UPDATE files SET state = 'stored', disposition = ?, unanswered_sha256 = NULL WHERE file_id = ?`,
  );
  const setOutcomeOfTouched = database.prepare(
    `UPDATE files SET rested_as = 'stored', disposition = ?, unanswered_sha256 = NULL WHERE file_id = ?`,
  );
  const setAnotherFile = database.prepare(`
    UPDATE files SET file_id = ?, attempts = 0, next_try_at = 0, last_error = NULL,
      key = NULL, unanswered_sha256 = NULL, row_id = NULL, rested_as = NULL WHERE file_id = ?`);
  const next = database.prepare(
    'SELECT position, id, file_id, row FROM outbox WHERE set_aside IS NULL ORDER BY position LIMIT ?',
  );
  const remove = database.prepare('DELETE FROM outbox WHERE position = ?');
  const setRecorded = database.prepare(`
    UPDATE files SET state = replace(state, 'stored', 'recorded'), rested_as = replace(rested_as, 'stored', 'recorded')
    WHERE file_id = ? AND 'stored' IN (state, coalesce(rested_as, ''))`);
  const setAside = database.prepare('UPDATE outbox SET set_aside = ? WHERE position = ?');
  const unsetAside = database.prepare('UPDATE outbox SET set_aside = NULL WHERE set_aside IS NOT NULL');
  const countSetAside = database.prepare('SELECT count(*) AS rows FROM outbox WHERE set_aside IS NOT NULL');
  const countWaiting = () =>
    Number(database.prepare('SELECT count(*) AS rows FROM outbox WHERE set_aside IS NULL').get()?.['rows']);
  /** Kept here, because counting the rows of a long outage takes too long to be done every few seconds. */
  let waiting = countWaiting();

  const currentChain = () => {
    const row = chain.get();
    const head = row?.['head'];
    return { id: String(row?.['id']), seq: Number(row?.['seq']), head: typeof head === 'string' ? head : null };
  };

  /**
   * Where the path was put in the queue anew during the pass, what lies there now is another file, which waits for a
   * pass of its own; or the same one with another mode or owner, which is hashed before it counts as stored.
   */
  const noteOutcome = (fileId: string, file: Outcome['file'], disposition: Disposition): void => {
    const now = find.get(fileId);
    if (now === undefined) return;
    const text = JSON.stringify(disposition);
    if (now['position'] === file.position) return void setOutcome.run(text, fileId);
    const touched = onlyTouched(file.identity, identityFromText(String(now['identity'])));
    if (touched && disposition.kind === 'quarantine') {
      setOutcome.run(text, fileId);
    } else if (touched) {
      setOutcomeOfTouched.run(text, fileId);
    } else {
      setAnotherFile.run(uuidv7(), fileId);
    }
  };

  const store: OutboxStore = {
    next(limit): OutboxRow[] {
      return next.all(limit).map((row) => ({
        position: Number(row['position']),
        id: String(row['id']),
        fileId: String(row['file_id']),
        json: String(row['row']),
      }));
    },
    // a row that the ledger has and the journal lost would fork the chain
    onDisk,
    async recorded(rows) {
      try {
        const sent = await commitInPieces(commit, rows, ({ position, fileId }) => {
          setRecorded.run(fileId);
          return Number(remove.run(position).changes);
        });
        waiting -= sent;
      } catch (error) {
        waiting = countWaiting(); // some of it may be done
        throw error;
      }
    },
    async setAside(row, reason) {
      const moved = await commit(() => Number(setAside.run(reason, row.position).changes));
      waiting -= moved;
    },
  };

  return {
    store,

    /** The hash of the newest row of the chain; null before the first. */
    head: (): string | null => currentChain().head,

    /**
     * Chains the row, puts it in the outbox and notes what is to become of the file: one transaction.
     */
    async enqueue({ row, file, disposition, stored }: Outcome, at: Date): Promise<void> {
      await commit(() => {
        const { id, seq, head } = currentChain();
        const chained = { ...row, chain: id, seq: seq + 1, previous_hash: head };
        const hash = rooms.rowHash(chained);
        advance.run(seq + 1, hash);
        insert.run(row.id, row.file_id, JSON.stringify({ ...chained, row_hash: hash }));
        noteOutcome(row.file_id, file, disposition);
        if (stored !== undefined) {
          rooms.storedObjects.add(stored, at);
          rooms.multipart.completed(row.file_id, file.identity, stored.key);
        }
      });
      waiting += 1;
    },

    /** Rows that Postgres refused wait again, each in its place: what it refused them for may be mended. */
    async retrySetAside(): Promise<void> {
      const rows = await commit(() => Number(unsetAside.run().changes));
      waiting += rows;
    },

    counts: (): { waiting: number; setAside: number } => ({
      waiting,
      setAside: Number(countSetAside.get()?.['rows']),
    }),
  };
}
