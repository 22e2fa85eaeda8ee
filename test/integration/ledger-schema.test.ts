import { expect, test } from 'vitest';
import { columnNames } from '../../src/ledger/columns.ts';
import { createLedger } from '../../src/ledger/ledger.ts';
import { completeScript, migrate } from '../../src/ledger/migrate.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { probeLedger } from '../../src/ledger/probe.ts';
import { checkSchema, programVersion, schemaProblem } from '../../src/ledger/schema.ts';
import { ConfigError } from '../../src/service/errors.ts';
import { sampleRow } from '../support/ledger-rows.ts';
import { startTestPostgres, usePostgres } from '../support/postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

const postgres = usePostgres();
const log = recordingLog();

test('migrate creates the ledger for an admin who is no superuser, and does nothing the second time', async () => {
  await using database = await postgres.createDatabase({ migrated: false });
  expect(await migrate({ ...database.admin, log })).toMatchObject({ from: 0, to: 1, applied: ['0001-uploads'] });
  expect(await migrate({ ...database.admin, log })).toMatchObject({ from: 1, to: 1, applied: [] });
});

test('two that migrate at once take turns', async () => {
  await using database = await postgres.createDatabase({ migrated: false });
  const results = await Promise.all([1, 2, 3].map(() => migrate({ ...database.admin, log })));
  expect(results.flatMap(({ applied }) => applied)).toEqual(['0001-uploads']);
});

test('databases of one new server can be migrated at once, though roles are shared', async () => {
  await using server = await startTestPostgres();
  const databases = await Promise.all([1, 2, 3].map(() => server.createDatabase({ migrated: false })));
  const results = await Promise.all(databases.map(({ admin }) => migrate({ ...admin, log })));
  expect(results.map(({ to }) => to)).toEqual([1, 1, 1]);
});

test('a dry run changes nothing, and its script does the same', async () => {
  await using database = await postgres.createDatabase({ migrated: false });
  const { sql, applied } = await migrate({ ...database.admin, log, dryRun: true });
  expect(applied).toEqual(['0001-uploads']);
  expect(sql).toBe(completeScript());
  await using pool = createLedgerPool({ ...database.admin, log });
  expect(await checkSchema(pool)).toEqual({ kind: 'missing' });

  await database.query(sql);
  expect(await migrate({ ...database.superuser, log })).toMatchObject({ from: 1, applied: [] });
});

test('the columns are those that rows bring along, and recorded_at', async () => {
  await using database = await postgres.createDatabase();
  const { rows } = await database.query(
    `SELECT column_name FROM information_schema.columns
      WHERE table_schema = 'dropledger' AND table_name = 'uploads' ORDER BY ordinal_position`,
  );
  const names = rows.map(({ column_name }) => column_name);
  expect(names.filter((name) => name !== 'recorded_at')).toEqual(columnNames);
  expect(names[names.indexOf('recorded_at') - 1]).toBe('uploaded_at');
});

test('the primary key is the only thing that must be unique', async () => {
  await using database = await postgres.createDatabase();
  const { rows } = await database.query(
    `SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index
      WHERE indrelid = 'dropledger.uploads'::regclass AND indisunique`,
  );
  expect(rows).toEqual([{ definition: expect.stringContaining('(id)') }]);
});

test('everything has a comment', async () => {
  await using database = await postgres.createDatabase();
  const { rows } = await database.query(
    `SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
      WHERE relnamespace = 'dropledger'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0
        AND (col_description(attrelid, attnum) IS NULL OR obj_description(pg_class.oid, 'pg_class') IS NULL)`,
  );
  expect(rows).toEqual([]);
});

test('the writer may add rows, and nothing else', async () => {
  await using database = await postgres.createDatabase();
  await using pool = createLedgerPool({ ...database.writer, log });
  await createLedger(pool).record([JSON.stringify(sampleRow())]);
  const { rows } = await database.query('SELECT path FROM dropledger.uploads');
  expect(rows).toEqual([{ path: 'invoices/2026/march.pdf' }]);

  for (const refused of [
    'SELECT id FROM dropledger.uploads',
    'SELECT FROM dropledger.daily_totals',
    `UPDATE dropledger.uploads SET path = ''`,
    'DELETE FROM dropledger.uploads',
    'TRUNCATE dropledger.uploads',
    `INSERT INTO dropledger.uploads (recorded_at) VALUES ('2020-01-01')`,
    'INSERT INTO dropledger.schema_version VALUES (99, 99)',
    'CREATE TABLE dropledger.mine ()',
  ])
    await expect(pool.query(refused), refused).rejects.toMatchObject({ cause: { code: '42501' } });
});

test('the reader may read, and nothing else', async () => {
  await using database = await postgres.createDatabase();
  await using pool = createLedgerPool({ ...database.reader, log });
  for (const relation of ['uploads', 'daily_totals', 'latest_by_path', 'failures', 'schema_version'])
    await pool.query(`SELECT * FROM dropledger.${relation}`);
  await expect(createLedger(pool).record([JSON.stringify(sampleRow())])).rejects.toThrow(ConfigError);
});

test('rows can be changed by nobody, the owner and superusers included', async () => {
  await using database = await postgres.createDatabase();
  await using writer = createLedgerPool({ ...database.writer, log });
  await createLedger(writer).record([JSON.stringify(sampleRow())]);
  await using owner = createLedgerPool({ ...database.admin, log });
  for (const change of [
    `UPDATE dropledger.uploads SET path = ''`,
    'DELETE FROM dropledger.uploads',
    'TRUNCATE dropledger.uploads',
  ]) {
    await expect(owner.query(change), change).rejects.toThrow('append-only');
    await expect(database.query(`SET session_replication_role = replica; ${change}`), change).rejects.toThrow(
      'append-only',
    );
  }
  expect((await database.query('SELECT FROM dropledger.uploads')).rowCount).toBe(1);
});

test('rds_iam is granted where it exists', async () => {
  await using database = await postgres.createDatabase();
  await database.query('CREATE ROLE rds_iam; GRANT rds_iam TO ledger_admin WITH ADMIN OPTION');
  try {
    await migrate({ ...database.admin, log });
    const { rows } = await database.query(
      `SELECT pg_has_role('dropledger_writer', 'rds_iam', 'MEMBER') AS writer,
              pg_has_role('dropledger_reader', 'rds_iam', 'MEMBER') AS reader`,
    );
    expect(rows).toEqual([{ writer: true, reader: true }]);
  } finally {
    await database.query('DROP ROLE rds_iam');
  }
});

test('the schema is checked with the rights of the writer', async () => {
  await using database = await postgres.createDatabase();
  await using pool = createLedgerPool({ ...database.writer, log });
  const next = programVersion + 1;
  expect(await checkSchema(pool)).toEqual({ kind: 'current', version: programVersion });

  await database.query('INSERT INTO dropledger.schema_version VALUES ($1, $2)', [next, programVersion]);
  expect(await checkSchema(pool)).toEqual({ kind: 'newer', version: next });
  expect(await migrate({ ...database.admin, log })).toMatchObject({ from: next, to: next, applied: [], sql: '' });

  await database.query('UPDATE dropledger.schema_version SET compatible_from = version WHERE version > 1');
  const incompatible = await checkSchema(pool);
  expect(incompatible).toEqual({ kind: 'incompatible', version: next });
  expect(schemaProblem(incompatible)?.hint).toContain('Upgrade dropledger');
  await expect(createLedger(pool).record([JSON.stringify(sampleRow())])).rejects.toThrow('too new');
});

test('a database without a ledger says what to run', async () => {
  await using database = await postgres.createDatabase({ migrated: false });
  await using pool = createLedgerPool({ ...database.admin, log });
  await expect(createLedger(pool).record([JSON.stringify(sampleRow())])).rejects.toMatchObject({
    name: 'ConfigError',
    hint: expect.stringContaining('dropledger migrate'),
  });
});

test('a probe tells what recording needs and this login lacks', async () => {
  await using database = await postgres.createDatabase();
  await using writer = createLedgerPool({ ...database.writer, log });
  await using reader = createLedgerPool({ ...database.reader, log });
  expect(await probeLedger(writer)).toEqual({
    serverVersion: expect.stringMatching(/^\d+/),
    tlsVersion: null,
    readOnly: false,
    schema: { kind: 'current', version: programVersion },
    missingRights: [],
  });
  expect((await probeLedger(reader)).missingRights).toEqual(
    columnNames.map((name) => `INSERT (${name}) ON dropledger.uploads`),
  );
  await using empty = await postgres.createDatabase({ migrated: false });
  await using pool = createLedgerPool({ ...empty.admin, log });
  expect(await probeLedger(pool)).toMatchObject({ schema: { kind: 'missing' } });
});

test('the views count days, name the last word on a path, and tell which failures are resolved', async () => {
  await using database = await postgres.createDatabase();
  await using writer = createLedgerPool({ ...database.writer, log });
  const failed = sampleRow({
    status: 'failed',
    error: 'unreadable',
    sha256: null,
    object_key: null,
    uploaded_at: null,
  });
  const later = sampleRow({ file_id: failed.file_id });
  const stillFailed = sampleRow({ path: 'b.bin', status: 'failed', error: 'key too long', uploaded_at: null });
  await createLedger(writer).record([failed, later, stillFailed].map((row) => JSON.stringify(row)));

  await using reader = createLedgerPool({ ...database.reader, log });
  const select = async (sql: string) => (await reader.query(sql)).rows;
  expect(await select('SELECT * FROM dropledger.daily_totals')).toEqual([
    {
      ...{ day: '2026-03-31', host: 'scanner-1', instance: 'default', bucket: 'records' },
      ...{ uploaded_files: 1, uploaded_bytes: later.size_bytes, duplicate_files: 0, failures: 2 },
    },
  ]);
  expect(await select('SELECT id FROM dropledger.latest_by_path ORDER BY path')).toEqual([
    { id: stillFailed.id },
    { id: later.id },
  ]);
  expect(await select('SELECT id, error, resolved FROM dropledger.failures ORDER BY id')).toEqual([
    { id: failed.id, error: 'unreadable', resolved: true },
    { id: stillFailed.id, error: 'key too long', resolved: false },
  ]);
});
