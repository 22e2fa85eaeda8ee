import { columnNames, columns } from './columns.ts';
import { RowRefused } from './errors.ts';
import type { LedgerPool } from './pool.ts';
import { checkSchema, schemaProblem } from './schema.ts';

export interface Ledger {
  /**
   * Commits serialised `LedgerRow`s, all or none, in order. A row that is there already, by its `id`, stays as it is:
   * to record again after an answer was lost is harmless.
   * @throws ServiceUnavailable, ConfigError, CredentialsError; RowRefused where one of them is at fault;
   * the signal's reason where it was aborted (whether they were recorded is then unknown).
   */
  record(jsonRows: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Logs in and looks at the schema; nothing is written. Same errors. */
  ready(signal?: AbortSignal): Promise<void>;
}

/**
 * One statement for any number of rows. No conflict target and no RETURNING: with either the writer would need the
 * right to read.
 */
const insert = `
  INSERT INTO dropledger.uploads (${columnNames.join(', ')})
  SELECT ${columnNames.join(', ')}
    FROM json_to_recordset($1::json) AS sent (${columnNames.map((name) => `${name} ${columns[name]}`).join(', ')})
  ON CONFLICT DO NOTHING`;

export function createLedger(pool: LedgerPool): Ledger {
  let schemaChecked = false;

  /** Asked at first and after each failure: in between a newer dropledger may have migrated. */
  async function requireSchema(signal?: AbortSignal): Promise<void> {
    if (schemaChecked) return;
    const problem = schemaProblem(await checkSchema(pool, signal));
    if (problem !== undefined) throw problem;
    schemaChecked = true;
  }

  return {
    ready: requireSchema,
    async record(jsonRows, signal) {
      if (jsonRows.length === 0) return;
      try {
        await requireSchema(signal);
        await pool.query(insert, [`[${jsonRows.join(',')}]`], signal);
      } catch (error) {
        schemaChecked = error instanceof RowRefused;
        throw error;
      }
    },
  };
}
