import type { DatabaseSync } from 'node:sqlite';
import type { Disposition, LedgerRow, OutboxRow, OutboxStore } from '../model.ts';
import type { Commit } from './group-commit.ts';
import type { MultipartJournal } from './multipart-uploads.ts';
import type { StoredContent, StoredObjectsJournal } from './stored-objects.ts';

/** A ledger row before it has its place in the chain. */
export type UnchainedRow = Omit<LedgerRow, 'chain' | 'seq' | 'previous_hash' | 'row_hash'>;

/** What one pass of a file came to: all of it is committed together. */
export interface Outcome {
  readonly row: UnchainedRow;
  readonly disposition: Disposition;
  /** The object that was stored by this pass; absent for duplicates and failures. */
  readonly stored?: StoredContent;
}

/** Hex sha256 over the canonical form of a row: `ledger/row-hash.ts`. */
export type RowHash = (row: Omit<LedgerRow, 'row_hash'>) => string;

export type OutboxJournal = ReturnType<typeof createOutboxJournal>;

export function createOutboxJournal(
  database: DatabaseSync,
  commit: Commit,
  rooms: { storedObjects: StoredObjectsJournal; multipart: MultipartJournal; rowHash: RowHash },
) {
  const chain = database.prepare('SELECT id, seq, head FROM chain');
  const advance = database.prepare('UPDATE chain SET seq = ?, head = ?');
  const insert = database.prepare('INSERT INTO outbox (id, file_id, row) VALUES (?, ?, ?)');
  const setOutcome = database.prepare(
    `UPDATE files SET state = 'stored', disposition = ?, unanswered_sha256 = NULL WHERE file_id = ?`,
  );
  const next = database.prepare(
    'SELECT position, id, file_id, row FROM outbox WHERE set_aside IS NULL ORDER BY position LIMIT ?',
  );
  const remove = database.prepare('DELETE FROM outbox WHERE position = ?');
  const setRecorded = database.prepare(`UPDATE files SET state = 'recorded' WHERE file_id = ? AND state = 'stored'`);
  const setAside = database.prepare('UPDATE outbox SET set_aside = ? WHERE position = ?');
  const counts = database.prepare(
    'SELECT count(*) FILTER (WHERE set_aside IS NULL) AS waiting, count(set_aside) AS set_aside FROM outbox',
  );

  const currentChain = () => {
    const row = chain.get();
    const head = row?.['head'];
    return { id: String(row?.['id']), seq: Number(row?.['seq']), head: typeof head === 'string' ? head : null };
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
    recorded(rows) {
      return commit(() => {
        for (const { position, fileId } of rows) {
          remove.run(position);
          setRecorded.run(fileId);
        }
      });
    },
    setAside(row, reason) {
      return commit(() => void setAside.run(reason, row.position));
    },
  };

  return {
    store,

    /** The hash of the newest row of the chain; null before the first. */
    head: (): string | null => currentChain().head,

    /** Chains the row, puts it in the outbox and notes what is to become of the file: one transaction. */
    enqueue({ row, disposition, stored }: Outcome, at: Date): Promise<void> {
      return commit(() => {
        const { id, seq, head } = currentChain();
        const chained = { ...row, chain: id, seq: seq + 1, previous_hash: head };
        const hash = rooms.rowHash(chained);
        advance.run(seq + 1, hash);
        insert.run(row.id, row.file_id, JSON.stringify({ ...chained, row_hash: hash }));
        setOutcome.run(JSON.stringify(disposition), row.file_id);
        if (stored !== undefined) {
          rooms.storedObjects.add(stored, at);
          rooms.multipart.completed(row.file_id, stored.key);
        }
      });
    },

    counts(): { waiting: number; setAside: number } {
      const row = counts.get();
      return { waiting: Number(row?.['waiting']), setAside: Number(row?.['set_aside']) };
    },
  };
}
