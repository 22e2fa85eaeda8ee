import { createHash } from 'node:crypto';
import type { LedgerRow } from '../model.ts';
import { columnNames } from './columns.ts';

/** Named first in what is hashed, so that another form could be told apart. */
const form = 'dropledger-row-1';

const hashed = columnNames.filter((name) => name !== 'row_hash');

/**
 * The hash that goes into `row_hash`: SHA-256, in lower-case hex, over the row in its canonical form.
 *
 * The canonical form is the text `dropledger-row-1` and then the value of every column in the table's order, except
 * `recorded_at` and `row_hash`, each written as `<length>:<text>`, and a null as `-`. The length counts the bytes of
 * the text in UTF-8. Text is text as it is; numbers are decimal, uuids lower-case, times `2026-01-31T23:59:59.123Z`.
 * `previous_hash` is among them, which makes the rows a chain. So it can be computed anew from the database, by
 * anyone; `test/integration/ledger-record.test.ts` does it in SQL.
 */
export function rowHash(row: Omit<LedgerRow, 'row_hash'>): string {
  const hash = createHash('sha256').update(form);
  for (const name of hashed) {
    const value = row[name as keyof typeof row];
    if (value === null) hash.update('-');
    else {
      const text = String(value);
      hash.update(`${Buffer.byteLength(text)}:${text}`);
    }
  }
  return hash.digest('hex');
}
