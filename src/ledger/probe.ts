import { columnNames } from './columns.ts';
import type { LedgerPool } from './pool.ts';
import { checkSchema, type SchemaState } from './schema.ts';

export interface LedgerProbe {
  /** Such as `16.4`. */
  readonly serverVersion: string;
  /** Such as `TLSv1.3`; null without TLS. */
  readonly tlsVersion: string | null;
  /** A standby: it can be read, and not written to. */
  readonly readOnly: boolean;
  readonly schema: SchemaState;
  /** What this login needs for recording and may not do, such as `INSERT (path) ON dropledger.uploads`. */
  readonly missingRights: readonly string[];
}

/** Logs in and looks at what recording needs, without writing anything. Errors as of `LedgerPool.query`. */
export async function probeLedger(pool: LedgerPool, signal?: AbortSignal): Promise<LedgerProbe> {
  const { rows } = await pool.query<Pick<LedgerProbe, 'serverVersion' | 'tlsVersion' | 'readOnly'>>(
    `SELECT current_setting('server_version') AS "serverVersion",
            (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS "tlsVersion",
            current_setting('transaction_read_only')::boolean AS "readOnly"`,
    [],
    signal,
  );
  const schema = await checkSchema(pool, signal);
  const [server] = rows;
  if (server === undefined) throw new TypeError('a SELECT without FROM gives one row');
  return { ...server, schema, missingRights: schema.kind === 'missing' ? [] : await missingRights(pool, signal) };
}

async function missingRights(pool: LedgerPool, signal: AbortSignal | undefined): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT name FROM unnest($1::text[]) AS name
      WHERE NOT has_column_privilege('dropledger.uploads', name, 'INSERT')`,
    [columnNames],
    signal,
  );
  return rows.map(({ name }) => `INSERT (${name}) ON dropledger.uploads`);
}
