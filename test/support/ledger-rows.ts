import { createHash, randomUUID } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { rowHash } from '../../src/ledger/row-hash.ts';
import type { LedgerRow, OutboxRow, OutboxStore } from '../../src/model.ts';

/** A row as the journal would enqueue it, with its right hash. */
export function sampleRow(changes: Partial<LedgerRow> = {}): LedgerRow {
  const row: Omit<LedgerRow, 'row_hash'> = {
    id: uuidv7(),
    file_id: uuidv7(),
    host: 'scanner-1',
    instance: 'default',
    path: 'invoices/2026/march.pdf',
    size_bytes: 48_213,
    sha256: createHash('sha256').update('march').digest('hex'),
    modified_at: '2026-03-31T16:00:00.250Z',
    file_owner: 'alice',
    content_type: 'application/pdf',
    bucket: 'records',
    object_key: 'scans/invoices/2026/march.pdf',
    version_id: null,
    etag: '"9a0364b9e99bb480dd25e1f0284c8555"',
    s3_request_id: 'ABCDEF0123456789',
    checksum_type: 'CRC32',
    checksum: 'NhCmhg==',
    part_count: 1,
    status: 'uploaded',
    error: null,
    duplicate_of: null,
    attempts: 1,
    detected_at: '2026-03-31T16:00:01.000Z',
    started_at: '2026-03-31T16:00:03.001Z',
    uploaded_at: '2026-03-31T16:00:03.120Z',
    principal: 'arn:aws:iam::123456789012:role/dropledger',
    daemon_version: '0.1.0',
    chain: randomUUID(),
    seq: 1,
    previous_hash: null,
    ...changes,
  };
  return { ...row, row_hash: changes.row_hash ?? rowHash(row) };
}

export interface RowsInMemory extends OutboxStore {
  add(...rows: LedgerRow[]): void;
  readonly waiting: OutboxRow[];
  readonly recordedIds: string[];
  readonly asideReasons: Map<string, string>;
}

/** An outbox store as the journal is one, in memory. */
export function rowsInMemory(...initial: LedgerRow[]): RowsInMemory {
  let position = 0;
  const store: RowsInMemory = {
    waiting: [],
    recordedIds: [],
    asideReasons: new Map(),
    add(...rows) {
      for (const row of rows) {
        position += 1;
        store.waiting.push({ position, id: row.id, fileId: row.file_id, json: JSON.stringify(row) });
      }
    },
    next: (limit) => store.waiting.slice(0, limit),
    onDisk: async () => {},
    async recorded(rows) {
      for (const row of rows) remove(row);
      store.recordedIds.push(...rows.map(({ id }) => id));
    },
    async setAside(row, reason) {
      remove(row);
      store.asideReasons.set(row.id, reason);
    },
  };
  const remove = (row: OutboxRow) => {
    const index = store.waiting.findIndex((waiting) => waiting.position === row.position);
    if (index === -1) throw new Error(`position ${row.position} is not waiting`);
    store.waiting.splice(index, 1);
  };
  store.add(...initial);
  return store;
}

/** Rows that follow each other in one chain; `changes` says what is special about the n-th one, from 0. */
export function sampleChain(count: number, changes: (index: number) => Partial<LedgerRow> = () => ({})): LedgerRow[] {
  const chain = randomUUID();
  const rows: LedgerRow[] = [];
  for (let index = 0; index < count; index += 1) {
    const previous_hash = rows.at(-1)?.row_hash ?? null;
    rows.push(sampleRow({ chain, seq: index + 1, previous_hash, ...changes(index) }));
  }
  return rows;
}
