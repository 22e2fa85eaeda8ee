import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { createLedgerReader, type LedgerReader, type RecordedRow } from '../../src/ledger/reader.ts';
import { readStats } from '../../src/ledger/stats.ts';
import type { LedgerRow } from '../../src/model.ts';
import { sampleChain, sampleRow } from '../support/ledger-rows.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { startRdsFront } from '../support/rds-front.ts';
import { writeReaderConfig } from '../support/reader-config.ts';
import { recordingLog } from '../support/recording-log.ts';
import { type CommandTerminal, runCommand } from '../support/run-command.ts';
import { createTestCa } from '../support/tls.ts';

const postgres = usePostgres();
const log = recordingLog();
const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');

async function record(database: TestDatabase, rows: readonly LedgerRow[]): Promise<void> {
  await using pool = createLedgerPool({ ...database.writer, log });
  await createLedger(pool).record(rows.map((row) => JSON.stringify(row)));
}

async function databaseWith(rows: readonly LedgerRow[]): Promise<TestDatabase> {
  const database = await postgres.createDatabase();
  await record(database, rows);
  return database;
}

async function reading<T>(database: TestDatabase, read: (reader: LedgerReader) => Promise<T>): Promise<T> {
  await using pool = createLedgerPool({ ...database.reader, log });
  return await read(createLedgerReader(pool));
}

/** What the command prints, as the user of a configuration that names the reader. */
async function ledger(database: TestDatabase, args: readonly string[], terminal?: CommandTerminal) {
  await using config = await writeReaderConfig(database);
  return await runCommand(['ledger', ...args, '--config', config.file], terminal);
}

async function json<T>(database: TestDatabase, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await ledger(database, [...args, '--json']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as T;
}

const failure = { status: 'failed', sha256: null, object_key: null, uploaded_at: null } as const;

test('list finds rows by each filter, newest last', async () => {
  const rows = sampleChain(6, (index) => ({
    path: ['a.pdf', 'in/b.pdf', 'in/deep/c.pdf', 'in/d.txt', 'in/100%_\\\\.pdf', 'z.pdf'][index] as string,
    ...(index === 3
      ? { ...failure, error: 'the name is not valid UTF-8' }
      : { sha256: sha256Of(`content ${index % 2}`) }),
    host: index < 2 ? 'scanner-1' : 'scanner-2',
  }));
  await using database = await databaseWith(rows);
  const paths = async (...args: string[]) =>
    (await json<RecordedRow[]>(database, 'list', ...args)).map(({ path }) => path);
  const all = rows.map(({ path }) => path);
  expect(await paths()).toEqual(all);
  expect(await paths('--limit', '2')).toEqual(all.slice(-2));
  expect(await paths('--path', 'in/b.pdf')).toEqual(['in/b.pdf']);
  expect(await paths('--path', '**/*.pdf')).toEqual(all.filter((path) => path.endsWith('.pdf')));
  expect(await paths('--path', 'in/*.{pdf,txt}')).toEqual(['in/b.pdf', 'in/d.txt', 'in/100%_\\\\.pdf']);
  expect(await paths('--path', 'in/100%_\\\\.*')).toEqual(['in/100%_\\\\.pdf']);
  expect(await paths('--path', 'in/')).toEqual(all.slice(1, 5));
  expect(await paths('--status', 'failed')).toEqual(['in/d.txt']);
  expect(await paths('--sha256', sha256Of('content 1'))).toEqual(['in/b.pdf', 'z.pdf']);
  expect(await paths('--host', 'scanner-1')).toEqual(all.slice(0, 2));
  expect(await paths('--since', '1h')).toEqual(all);
  expect(await paths('--until', '1h')).toEqual([]);
  expect(await paths('--since', '2999-01-01')).toEqual([]);
});

test('the table is whole when piped, and cut to the terminal’s width on one', async () => {
  const path = `deep/${'very-'.repeat(20)}long.pdf`;
  await using database = await databaseWith(
    sampleChain(2, (index) => (index === 0 ? { path } : { path: 'a\u001b[31m.pdf' })),
  );
  const piped = await ledger(database, ['list']);
  expect(piped.stdout).toContain(path);
  expect(piped.stdout).not.toContain('\u001b');
  const shown = await ledger(database, ['list'], { columns: 100, env: { NO_COLOR: '1' } });
  expect(shown.stdout).toContain('long.pdf');
  expect(shown.stdout).not.toContain(path);
  expect(Math.max(...shown.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(shown.stdout).not.toContain('\u001b');
  const coloured = await ledger(database, ['list'], { columns: 100, env: { NO_COLOR: '', TERM: 'xterm' } });
  expect(coloured.stdout).toContain('\u001b[32muploaded');
});

test('show tells every column, the other rows of the path, and an altered row', async () => {
  const [failed, later] = sampleChain(2, (index) => (index === 0 ? { ...failure, error: 'too big' } : {}));
  await using database = await databaseWith([failed, later] as LedgerRow[]);
  const { stdout } = await ledger(database, ['show', later?.id.slice(0, 30) ?? '']);
  for (const value of [
    later?.sha256,
    's3://records/scans/invoices/2026/march.pdf',
    '48,213 bytes',
    'too big',
    failed?.id,
    '✓',
  ])
    expect(stdout).toContain(value);
  expect(await json(database, 'show', later?.id ?? '')).toMatchObject({
    row: later,
    rowHashMatches: true,
    others: [failed],
  });

  expect(await ledger(database, ['show', failed?.id.slice(0, 4) ?? ''])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('several rows'),
  });
  expect(await ledger(database, ['show', 'ffff'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no row ffff'),
  });
  expect(await ledger(database, ['show', 'x'])).toMatchObject({ code: 64 });
  expect(await ledger(database, ['show'])).toMatchObject({ code: 64, stderr: expect.stringContaining('expected ID') });

  await alter(database, `UPDATE dropledger.uploads SET size_bytes = 1 WHERE id = '${later?.id}'`);
  expect(await ledger(database, ['show', later?.id ?? ''])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('ALTERED'),
  });
});

/** As a superuser who is set on it. */
async function alter(database: TestDatabase, sql: string): Promise<void> {
  await database.query(
    `ALTER TABLE dropledger.uploads DISABLE TRIGGER append_only; ${sql}; ALTER TABLE dropledger.uploads ENABLE ALWAYS TRIGGER append_only`,
  );
}

test('stats count by day and reason, and measure', async () => {
  const rows = sampleChain(200, (index) => ({
    ...(index % 10 === 0 && {
      ...failure,
      error: `the key "k${index}" is no UTF-8, ${index} or 1,${index} more than S3 takes`,
    }),
    ...(index % 10 === 1 && { status: 'duplicate' as const, started_at: null, uploaded_at: null }),
    ...(index % 10 > 1 && {
      size_bytes: 1_000_000,
      started_at: '2026-03-31T16:00:00.000Z',
      uploaded_at: new Date(Date.parse('2026-03-31T16:00:00Z') + 10 * (index + 1)).toISOString(),
    }),
  }));
  await using database = await databaseWith(rows);
  const stats = await reading(database, (reader) => reader.stats({}));
  expect(stats).toMatchObject({
    ...{ uploaded: 160, duplicates: 20, failed: 20, bytes: 160_000_000 },
    days: [
      { day: new Date().toISOString().slice(0, 10), uploaded: 160, bytes: 160_000_000, duplicates: 20, failed: 20 },
    ],
    failures: [{ reason: 'the key … is no UTF-8, N or N more than S3 takes', files: 20 }],
  });
  const exact = rows.filter(({ status }) => status === 'uploaded').map(({ seq }) => seq / 100);
  expect(Math.abs(Math.log((stats.uploadSeconds.p50 ?? 0) / (exact[79] ?? 1)))).toBeLessThan(0.03);
  expect(Math.abs(Math.log((stats.uploadSeconds.p99 ?? 0) / (exact[158] ?? 1)))).toBeLessThan(0.03);
  expect(await reading(database, (reader) => reader.sizes({}))).toEqual([{ fromBytes: 2 ** 19, files: 160 }]);

  const { stdout } = await ledger(database, ['stats'], { columns: 100, env: { NO_COLOR: '1' } });
  for (const text of [
    '160 files uploaded, 152.6 MiB',
    '█████',
    'the key … is no UTF-8, N or N more than S3 takes',
    'median',
  ])
    expect(stdout).toContain(text);
  expect((await ledger(database, ['stats', '--until', '2020-01-01'])).stdout).toBe('nothing was recorded since 30d\n');
});

test('of very many rows the percentiles are those of a part, chosen by the millisecond in which uploads began', async () => {
  const began = Date.parse('2026-03-31T16:00:00Z');
  const rows = sampleChain(1000, (index) => ({
    started_at: new Date(began + index).toISOString(),
    uploaded_at: new Date(began + index + (index % 4 === 0 ? 10 * (index + 1) : 3_600_000)).toISOString(),
  }));
  await using database = await databaseWith(rows);
  await using pool = createLedgerPool({ ...database.reader, log });
  const { uploaded, uploadSeconds } = await readStats(pool, {}, { estimate: 80_000 });
  expect(uploaded).toBe(1000);
  expect(Math.abs(Math.log((uploadSeconds.p50 ?? 0) / 5))).toBeLessThan(0.03);
  expect(Math.abs(Math.log((uploadSeconds.p99 ?? 0) / 9.9))).toBeLessThan(0.03);
});

test('export writes every row, in CSV that quotes what it must and as JSON lines', async () => {
  const rows = sampleChain(5000, (index) => ({
    path: index === 3 ? 'a "b",\nc' : `file-${index}`,
    file_owner: index === 4 ? '' : null,
  }));
  await using database = await postgres.createDatabase();
  for (let from = 0; from < rows.length; from += 1000) await record(database, rows.slice(from, from + 1000));
  const exported = await ledger(database, ['export']);
  expect(exported).toMatchObject({ code: 0, stderr: '' });
  const lines = exported.stdout.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as RecordedRow).map(({ recorded_at, ...row }) => row)).toEqual(rows);

  const csv = (await ledger(database, ['export', '--format', 'csv', '--limit', '5'])).stdout;
  const [head, ...body] = csv.split('\r\n');
  expect(head?.split(',').slice(0, 5)).toEqual(['id', 'file_id', 'host', 'instance', 'path']);
  expect(body).toHaveLength(6);
  expect(csv).toContain(',"a ""b"",\nc",');
  expect(body[0]).toContain('Z,,application/pdf,');
  expect(body[4]).toContain('Z,"",application/pdf,');
  expect(await ledger(database, ['export', '--format', 'xml'])).toMatchObject({ code: 64 });

  const onTerminal = await ledger(database, ['export'], { columns: 100, env: { NO_COLOR: '1' } });
  expect(onTerminal.stdout).toBe(exported.stdout);
  expect(onTerminal.stderr).toMatch(/ \d+ % {2}[\d,]+ rows, /); // The bar, of which nothing stays.
  expect(onTerminal.stderr.endsWith('\r\x1b[K')).toBe(true);
});

test('what is recorded while an export runs is not in it', async () => {
  await using database = await postgres.createDatabase();
  for (let batch = 0; batch < 3; batch += 1) await record(database, sampleChain(1000));
  let seen = 0;
  await reading(database, (reader) =>
    reader.each({}, async (rows) => {
      seen += rows.length;
      await record(database, [sampleRow()]);
    }),
  );
  expect(seen).toBe(3000);
});

test('verify-chain finds what was altered, removed and slipped in, and is silent about nothing', async () => {
  const rows = [...sampleChain(30), ...sampleChain(30)];
  await using database = await databaseWith(rows);
  expect(await ledger(database, ['verify-chain'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('60 rows in 2 chains'),
  });

  const [, , third, fourth, fifth] = rows as [LedgerRow, LedgerRow, LedgerRow, LedgerRow, LedgerRow];
  await alter(
    database,
    `UPDATE dropledger.uploads SET path = 'other' WHERE id = '${third.id}'; DELETE FROM dropledger.uploads WHERE id = '${fifth.id}'`,
  );
  await record(database, [sampleRow({ chain: fourth.chain, seq: 4, previous_hash: third.row_hash })]);
  const { code, stdout } = await ledger(database, ['verify-chain', '--json']);
  expect(code).toBe(1);
  const { findings } = JSON.parse(stdout) as { findings: { kind: string; seq: number; id: string | null }[] };
  expect(findings.map(({ kind, seq }) => `${kind} ${seq}`).sort()).toEqual(['altered 3', 'fork 4', 'gap 5']);
  expect((await ledger(database, ['verify-chain'])).stdout).toContain(
    `row 3 of chain ${third.chain} (${third.id}) was altered`,
  );
});

test('the ledger says who may not read it, and how to', async () => {
  await using database = await databaseWith([sampleRow()]);
  const { passwordFile = '' } = database.writer;
  const refused = await ledger(database, ['list', '--user', 'dropledger_writer', '--password-file', passwordFile]);
  expect(refused).toMatchObject({ code: 78, stderr: expect.stringContaining('lacks a right') });
  expect(await ledger(database, ['list', '--since', 'yesterday'])).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('7d'),
  });
  expect(await ledger(database, ['list', '--status', 'lost'])).toMatchObject({ code: 64 });
  expect(await ledger(database, ['nothing'])).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('ledger nothing'),
  });
  expect((await ledger(database, ['--help'])).stdout).toContain('verify-chain');
  expect((await ledger(database, ['list', '--help'])).stdout).toContain('Usage: dropledger ledger list [options]');
});

test('a reader of the output who goes away is no failure', async () => {
  await using database = await postgres.createDatabase();
  for (let batch = 0; batch < 5; batch += 1) await record(database, sampleChain(1000));
  await using config = await writeReaderConfig(database);
  const program = fileURLToPath(new URL('../../bin/dropledger.js', import.meta.url));
  const pipe = 'set -o pipefail; "$0" ledger export --config "$1" | head -n 1';
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', pipe, program, config.file]);
  expect(JSON.parse(stdout)).toHaveProperty('row_hash');
  expect(stderr).toBe('');
});

test('on RDS they log in by a token, as ledger.readerUser', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dropledger-reader-iam-'));
  try {
    await using database = await databaseWith([sampleRow()]);
    const ca = await createTestCa(join(folder, 'ca'));
    const credentials = { accessKeyId: 'AKIAREADER', secretAccessKey: 'reader/secret+key' };
    await using front = await startRdsFront({
      ...{ certificate: await ca.issue('localhost'), host: 'localhost', region: 'eu-central-1', credentials },
      logins: { dropledger_reader: database.reader },
    });
    await using config = await writeReaderConfig(database);
    const { ledger: login, ...rest } = JSON.parse(await readFile(config.file, 'utf8'));
    const iam = { host: 'localhost', port: front.port, database: database.name, region: 'eu-central-1' };
    const users = { user: login.user, readerUser: login.readerUser, caFile: ca.certFile };
    await writeFile(config.file, JSON.stringify({ ...rest, ledger: { ...iam, ...users } }));
    const { accessKeyId, secretAccessKey } = credentials;
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    expect(await runCommand(['ledger', 'list', '--config', config.file])).toMatchObject({ code: 0, stderr: '' });
    expect(front.logins).toEqual([{ user: 'dropledger_reader', answer: 'let in' }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
