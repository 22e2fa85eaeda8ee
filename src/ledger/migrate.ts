import { readdirSync, readFileSync } from 'node:fs';
import type pg from 'pg';
import { LocalFailure } from '../service/errors.ts';
import { createLedgerPool, type LedgerPoolOptions } from './pool.ts';
import { readSchemaVersion } from './schema.ts';

export interface MigrateOptions extends LedgerPoolOptions {
  /** Change nothing: the result's `sql` is what would run. */
  readonly dryRun?: boolean | undefined;
}

export interface MigrateResult {
  readonly from: number;
  readonly to: number;
  /** Names of the migrations, without `.sql`. */
  readonly applied: readonly string[];
  /** A script for `psql`, transactions included. */
  readonly sql: string;
}

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  /** Programs made for this schema version and later ones go on working after it. */
  readonly compatibleFrom: number;
}

/** Two that migrate at once take turns: 'drop' in ASCII. Held to the end of a transaction. */
const lock = 'SELECT pg_advisory_xact_lock(1685221232)';

const sqlOf = (name: string) => readFileSync(new URL(`migrations/${name}`, import.meta.url), 'utf8');

/**
 * Creates the ledger's schema and its roles or brings them up to date. A schema newer than this program is left alone.
 * @throws the kinds of `service/errors.ts`.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  await using pool = createLedgerPool({ ...options, max: 1, statementTimeoutMs: 0 });
  const all = readMigrations();
  const { version: from } = await readSchemaVersion(pool);
  const pending = all.filter(({ version }) => version > from);
  const newest = all.at(-1)?.version ?? 0;
  const result = {
    from,
    to: Math.max(from, newest),
    applied: pending.map(({ name }) => name),
    sql: from > newest ? '' : script(from, pending),
  };
  if (options.dryRun === true || from > newest) return result;

  const applied = await pool.withClient(async (client) => {
    const done: string[] = [];
    for (const migration of pending) if (await apply(client, migration)) done.push(migration.name);
    await inTransaction(client, () => client.query(sqlOf('roles.sql')));
    return done;
  });
  return { ...result, applied };
}

/** The whole script for a database in which nothing was migrated yet, for those who have no login to it. */
export const completeScript = (): string => script(0, readMigrations());

/** The SQL that creates the login roles and grants them their rights. */
export const rolesScript = (): string => sqlOf('roles.sql');

/** Whether it was still to be done once it was our turn. */
async function apply(client: pg.ClientBase, { version, compatibleFrom, sql }: Migration): Promise<boolean> {
  return await inTransaction(client, async () => {
    await client.query(sqlOf('preamble.sql'));
    const known = await client.query('SELECT FROM dropledger.schema_version WHERE version >= $1', [version]);
    if (known.rowCount !== 0) return false;
    await client.query(sql);
    await client.query(appliedStatement(version, compatibleFrom));
    return true;
  });
}

async function inTransaction<Result>(client: pg.ClientBase, work: () => Promise<Result>): Promise<Result> {
  await client.query('BEGIN');
  await client.query(lock);
  const result = await work(); // Where it rejects, the connection is closed, and the server rolls back.
  await client.query('COMMIT');
  return result;
}

function script(from: number, pending: readonly Migration[]): string {
  const steps = pending.map(({ version, compatibleFrom, sql }) =>
    [sqlOf('preamble.sql'), sql, `${appliedStatement(version, compatibleFrom)};\n`].join('\n'),
  );
  const blocks = [...steps, sqlOf('roles.sql')].map((block) => `BEGIN;\n${lock};\n\n${block}\nCOMMIT;\n`);
  const to = pending.at(-1)?.version ?? from;
  return [`-- dropledger: the ledger's schema, version ${from} to ${to}, and its roles.\n`, ...blocks].join('\n');
}

const appliedStatement = (version: number, compatibleFrom: number) =>
  `INSERT INTO dropledger.schema_version (version, compatible_from) VALUES (${version}, ${compatibleFrom})`;

function readMigrations(): Migration[] {
  return readdirSync(new URL('migrations/', import.meta.url))
    .filter((file) => /^\d{4}-.*\.sql$/.test(file))
    .sort()
    .map((file) => {
      const sql = sqlOf(file);
      const compatibleFrom = /^-- compatible-from: (\d+)$/m.exec(sql)?.[1];
      if (compatibleFrom === undefined) throw new LocalFailure(`${file} doesn't say what it is compatible from`);
      return {
        version: Number(file.slice(0, 4)),
        name: file.replace(/\.sql$/, ''),
        sql,
        compatibleFrom: Number(compatibleFrom),
      };
    });
}
