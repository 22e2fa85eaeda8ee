import type { LedgerRow } from '../model.ts';
import { columnNames } from './columns.ts';
import { type Condition, conditionOf, type LedgerFilter } from './filter.ts';
import type { LedgerPool } from './pool.ts';
import { type LedgerStats, readSizes, readStats, type SizeClass } from './stats.ts';

/** A row as it stands in the ledger, with the time the database gave it. */
export type RecordedRow = LedgerRow & { readonly recorded_at: string };

/** What reads the ledger; the reader's rights are enough. Errors as of `LedgerPool.query`. */
export interface LedgerReader {
  /** The newest rows that fit, newest last. */
  list(filter: LedgerFilter, limit: number, signal?: AbortSignal): Promise<RecordedRow[]>;
  /** The rows whose `id` begins with these hex digits, at most ten; by `id`. */
  find(idDigits: string, signal?: AbortSignal): Promise<RecordedRow[]>;
  /** What else is recorded of the same path of the same host, oldest first, at most a hundred. */
  others(row: RecordedRow, signal?: AbortSignal): Promise<RecordedRow[]>;
  /**
   * Every row that fits, in the order of recording, some thousand at a time, from one snapshot: what is recorded
   * meanwhile is not among them. Waits for `take` before it reads on.
   */
  each(
    filter: LedgerFilter,
    take: (rows: RecordedRow[]) => Promise<void> | void,
    options?: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
  /** About how many rows fit, without counting them. */
  estimate(filter: LedgerFilter, signal?: AbortSignal): Promise<number>;
  /** So many rows with an object under `keyPrefix`, chosen at random; all of them where there are fewer. */
  sample(place: ObjectPlace, count: number, signal?: AbortSignal): Promise<RecordedRow[]>;
  /** All rows with status `uploaded` of these objects, oldest first. */
  uploadsOf(bucket: string, keys: readonly string[], signal?: AbortSignal): Promise<RecordedRow[]>;
  stats(filter: LedgerFilter, signal?: AbortSignal): Promise<LedgerStats>;
  sizes(filter: LedgerFilter, signal?: AbortSignal): Promise<SizeClass[]>;
  /** The uploads that took longest, the longest first. */
  slowest(filter: LedgerFilter, limit: number, signal?: AbortSignal): Promise<RecordedRow[]>;
}

export interface ObjectPlace {
  readonly bucket: string;
  readonly keyPrefix: string;
}

const pageRows = 2000;
/** Below this many rows a sample is drawn from all of them, above it from pages of the table drawn at random. */
const smallTable = 200_000;

const selectRows = `SELECT ${[...columnNames, 'recorded_at'].join(', ')} FROM dropledger.uploads`;

export function createLedgerReader(pool: LedgerPool): LedgerReader {
  async function rowsOf(sql: string, values: readonly unknown[], signal?: AbortSignal): Promise<RecordedRow[]> {
    return (await pool.query<RecordedRow>(sql, values, signal)).rows;
  }

  async function estimateOf({ sql, values }: Condition, signal: AbortSignal | undefined): Promise<number> {
    const { rows } = await pool.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
      `EXPLAIN (FORMAT JSON) ${selectRows} WHERE ${sql}`,
      values,
      signal,
    );
    return rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0;
  }

  return {
    async list(filter, limit, signal) {
      const { sql, values } = conditionOf(filter);
      // Rows of one path or one content are few, and found by its index. Left to itself the planner may walk the
      // newest rows instead, hoping to meet them there: for a path that doesn't exist, the whole table.
      const few = filter.sha256 !== undefined || (filter.path !== undefined && !/[*?[{]|\/$/.test(filter.path));
      const from = few
        ? `(WITH few AS MATERIALIZED (${selectRows} WHERE ${sql}) SELECT * FROM few)`
        : `(${selectRows} WHERE ${sql})`;
      const newest = `SELECT * FROM ${from} AS fitting ORDER BY recorded_at DESC, id DESC LIMIT $${values.length + 1}`;
      return (await rowsOf(newest, [...values, limit], signal)).reverse();
    },

    find(idDigits, signal) {
      const digits = idDigits.replaceAll('-', '');
      const sql = `${selectRows} WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT 10`;
      return rowsOf(sql, [digits.padEnd(32, '0'), digits.padEnd(32, 'f')], signal);
    },

    others({ id, host, instance, path }, signal) {
      const sql = `${selectRows} WHERE path = $1 AND host = $2 AND instance = $3 AND id <> $4 ORDER BY id LIMIT 100`;
      return rowsOf(sql, [path, host, instance, id], signal);
    },

    async each(filter, take, { limit, signal } = {}) {
      const { sql, values } = conditionOf(filter);
      const cut = limit === undefined ? '' : `LIMIT ${limit}`;
      const failure = await pool.withClient(async (client): Promise<{ error: unknown } | undefined> => {
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        // Whoever takes the rows may be slow, and a filter may pass over millions of them.
        await client.query('SET LOCAL idle_in_transaction_session_timeout = 0');
        await client.query('SET LOCAL statement_timeout = 0');
        await client.query(
          `DECLARE fitting NO SCROLL CURSOR FOR ${selectRows} WHERE ${sql} ORDER BY recorded_at, chain, seq, id ${cut}`,
          [...values],
        );
        for (;;) {
          const { rows } = await client.query<RecordedRow>(`FETCH ${pageRows} FROM fitting`);
          try {
            if (rows.length > 0) await take(rows);
          } catch (error) {
            await client.query('ROLLBACK');
            return { error }; // Not thrown here: it is no error of the ledger's.
          }
          if (rows.length < pageRows) break;
        }
        await client.query('COMMIT');
        return undefined;
      }, signal);
      if (failure !== undefined) throw failure.error;
    },

    estimate: (filter, signal) => estimateOf(conditionOf(filter), signal),

    async sample({ bucket, keyPrefix }, count, signal) {
      const stored = `status = 'uploaded' AND bucket = $1 AND object_key ^@ $2`;
      const values = [bucket, keyPrefix, count];
      const all = await estimateOf({ sql: 'true', values: [] }, signal);
      if (all > smallTable) {
        // Ten times what is wanted: rows of one page were recorded together.
        const percent = Math.min(100, ((count * 10) / all) * 100);
        const drawn = `${selectRows} TABLESAMPLE SYSTEM (${percent.toFixed(6)}) WHERE ${stored} ORDER BY random() LIMIT $3`;
        const rows = await rowsOf(drawn, values, signal);
        if (rows.length === count) return rows;
      }
      return rowsOf(`${selectRows} WHERE ${stored} ORDER BY random() LIMIT $3`, values, signal);
    },

    uploadsOf(bucket, keys, signal) {
      const sql = `${selectRows} WHERE object_key = ANY ($1) AND bucket = $2 AND status = 'uploaded' ORDER BY id`;
      return rowsOf(sql, [keys, bucket], signal);
    },

    async stats(filter, signal) {
      const estimate = await estimateOf(conditionOf(filter), signal);
      return readStats(pool, filter, { estimate, signal });
    },

    sizes: (filter, signal) => readSizes(pool, filter, signal),

    slowest(filter, limit, signal) {
      const { sql, values } = conditionOf({ ...filter, status: 'uploaded' });
      const slowest = `${selectRows} WHERE ${sql} ORDER BY uploaded_at - started_at DESC NULLS LAST LIMIT $${values.length + 1}`;
      return rowsOf(slowest, [...values, limit], signal);
    },
  };
}
