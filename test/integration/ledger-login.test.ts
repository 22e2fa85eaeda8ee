import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createOutbox } from '../../src/ledger/outbox.ts';
import { createLedgerPool, type LedgerPoolOptions } from '../../src/ledger/pool.ts';
import { rdsToken } from '../../src/ledger/rds-token.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../src/service/errors.ts';
import { rowsInMemory, sampleRow } from '../support/ledger-rows.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { type RdsFront, startRdsFront } from '../support/rds-front.ts';
import { recordingLog } from '../support/recording-log.ts';
import { createTestCa, type TestCa, type TestCertificate } from '../support/tls.ts';

const directory = mkdtempSync(join(tmpdir(), 'dropledger-login-'));
afterAll(() => rmSync(directory, { recursive: true }));

const credentials = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'example/secret+key',
  sessionToken: 'session+token/with=odd&characters',
};

let ca: TestCa;
let certificate: TestCertificate;
beforeAll(async () => {
  ca = await createTestCa(join(directory, 'ca'));
  certificate = await ca.issue('localhost');
});

describe('with an IAM token, as on RDS', () => {
  const postgres = usePostgres();
  let database: TestDatabase;
  let front: RdsFront;

  const startFront = (changes = {}) =>
    startRdsFront({
      ...{ certificate, host: 'localhost', region: 'eu-central-1', credentials },
      logins: { dropledger_writer: database.writer },
      ...changes,
    });
  beforeEach(async () => {
    database = await postgres.createDatabase();
    front = await startFront();
  });
  afterEach(async () => {
    await front[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const options = (changes: Partial<LedgerPoolOptions> = {}): LedgerPoolOptions => ({
    ...{ host: 'localhost', port: front.port, database: database.name, user: 'dropledger_writer' },
    ...{ auth: 'iam', region: 'eu-central-1', credentials: async () => credentials, passwordFile: undefined },
    ...{ tls: 'verify-full', caFile: ca.certFile, log: recordingLog(), connectTimeoutMs: 5000 },
    ...changes,
  });

  /** The error of a login with these options, and what the front says of it. */
  async function refusal(changes: Partial<LedgerPoolOptions>): Promise<unknown> {
    await using pool = createLedgerPool(options(changes));
    return await pool.query('SELECT 1').catch((error: unknown) => error);
  }
  const answers = () => front.logins.map(({ answer }) => answer);

  test('the right token is let in, and rows get through', async () => {
    await using pool = createLedgerPool(options());
    await createLedger(pool).record([JSON.stringify(sampleRow())]);
    expect(answers()).toEqual(['let in']);
    expect((await database.query('SELECT FROM dropledger.uploads')).rowCount).toBe(1);
  });

  test('credentials without a session token as well', async () => {
    const { sessionToken, ...longTerm } = credentials;
    await using other = await startFront({ credentials: longTerm });
    await using pool = createLedgerPool(options({ port: other.port, credentials: async () => longTerm }));
    await pool.query('SELECT 1');
  });

  test('each connection gets a token of its own', async () => {
    let asked = 0;
    const counting = async () => {
      asked += 1;
      return credentials;
    };
    await using pool = createLedgerPool(options({ credentials: counting }));
    await pool.query('SELECT 1');
    await pool.query('SELECT 1');
    expect(asked).toBe(1);
    pool.dropConnections();
    await pool.query('SELECT 1');
    expect(asked).toBe(2);
  });

  test.each<[string, Partial<LedgerPoolOptions>]>([
    ['signed for the region us-east-1', { region: 'us-east-1' }],
    ['wrong signature', { credentials: async () => ({ ...credentials, secretAccessKey: 'wrong' }) }],
    ['wrong session token', { credentials: async () => ({ ...credentials, sessionToken: 'wrong' }) }],
    ['unknown access key', { credentials: async () => ({ ...credentials, accessKeyId: 'OTHER' }) }],
  ])('refused: %s', async (answer, changes) => {
    const error = await refusal(changes);
    expect(error).toBeInstanceOf(CredentialsError);
    expect(error).toMatchObject({ hint: expect.stringContaining('rds-db:connect') });
    expect(answers()).toEqual([answer]);
    for (const secret of Object.values(credentials)) expect(JSON.stringify(error)).not.toContain(secret);
  });

  test('refused: signed for another user', async () => {
    const { host, port, region } = options();
    const token = rdsToken({ host, port, region, user: 'somebody_else', credentials: async () => credentials });
    const ssl = { ca: ca.cert };
    const client = new pg.Client({
      host,
      port,
      ssl,
      database: database.name,
      user: 'dropledger_writer',
      password: token,
    });
    await expect(client.connect()).rejects.toMatchObject({ code: '28000' });
    expect(answers()).toEqual(['signed for the user somebody_else']);
  });

  test('refused: expired', async () => {
    front.clockAheadMs = 15 * 60_000;
    expect(await refusal({})).toBeInstanceOf(CredentialsError);
    expect(answers()).toEqual(['expired']);
  });

  test('refused: another host than the endpoint; the hint speaks of aliases', async () => {
    await using endpoint = await startFront({ host: 'ledger.abc.eu-central-1.rds.amazonaws.com' });
    expect(await refusal({ port: endpoint.port })).toMatchObject({ hint: expect.stringContaining('not an alias') });
    expect(endpoint.logins).toMatchObject([{ answer: `signed for the host localhost:${endpoint.port}` }]);
  });

  test('a certificate of another authority is not trusted, and no token is sent', async () => {
    const other = await createTestCa(join(directory, 'other-ca'));
    expect(await refusal({ caFile: other.certFile })).toMatchObject({
      name: 'ConfigError',
      message: expect.stringContaining("can't be verified"),
      hint: expect.stringContaining(other.certFile),
    });
    expect(await refusal({ caFile: undefined })).toMatchObject({ hint: expect.stringContaining('global-bundle.pem') });
    expect(await refusal({ caFile: undefined, region: 'il-central-1' })).toMatchObject({
      hint: expect.stringContaining("don't cover il-central-1"),
    });
    expect(answers()).toEqual([]);
  });

  test('a certificate for another name is not trusted', async () => {
    await using other = await startFront({ certificate: await ca.issue('other.example.com') });
    expect(await refusal({ port: other.port })).toMatchObject({
      name: 'ConfigError',
      hint: expect.stringContaining('not made out for "localhost"'),
    });
    expect(other.logins).toEqual([]);
  });

  test('a connection without TLS is refused', async () => {
    const error = await refusal({ tls: 'off' });
    expect(error).toBeInstanceOf(CredentialsError);
    expect(answers()).toEqual(['no encryption']);
  });

  test('credentials that are not to be had now mean waiting, and leave no connection open', async () => {
    const errors = [new ServiceUnavailable('credentials', 'the metadata service does not answer'), new Error('odd')];
    for (const error of errors) {
      await using pool = createLedgerPool(options({ credentials: () => Promise.reject(error) }));
      await expect(pool.query('SELECT 1')).rejects.toMatchObject({ service: 'credentials' });
      await expect.poll(() => front.openSockets()).toBe(0);
    }
    expect(answers()).toEqual([]);
  });

  test('a server that never answers is given up', async () => {
    front.mode = 'silent';
    expect(await refusal({ connectTimeoutMs: 100 })).toMatchObject({
      name: 'ServiceUnavailable',
      message: expect.stringContaining('timeout'),
    });
  });

  test('connections dropped in mid-life and a time of refusals cost no row', async () => {
    const store = rowsInMemory(...Array.from({ length: 300 }, () => sampleRow()));
    const log = recordingLog();
    await using pool = createLedgerPool(options({ log }));
    const countWaiting = () => store.waiting.length;
    const ledger = createLedger(pool);
    await using outbox = createOutbox({ store, countWaiting, ledger, log, delayMs: () => 10, batchSize: 10 });
    while (outbox.state().recorded < 50) await new Promise(setImmediate);

    front.mode = 'refuse';
    front.dropConnections();
    expect(await log.first('ledger-down')).toMatchObject({ level: 'warning' });
    const [refused, before] = [log.events.length, outbox.state().recorded];
    expect(before).toBeLessThan(300);

    front.mode = 'serve';
    expect(await outbox.drained(AbortSignal.timeout(20_000))).toBe(true);
    expect(log.events.slice(refused).map(({ event }) => event)).toEqual(['ledger-up']);
    expect((await database.query('SELECT FROM dropledger.uploads')).rowCount).toBe(300);
  });
});

describe('with a password', () => {
  const postgres = usePostgres();
  const passwordFile = join(directory, 'password');
  const log = recordingLog();

  test('the file is read for each login', async () => {
    await using database = await postgres.createDatabase();
    await database.query(`CREATE ROLE changing LOGIN PASSWORD 'first'`);
    writeFileSync(passwordFile, 'first\n', { mode: 0o600 });
    await using pool = createLedgerPool({ ...database.writer, user: 'changing', passwordFile, log });
    await pool.query('SELECT 1');

    await database.query(`ALTER ROLE changing PASSWORD 'second'`);
    pool.dropConnections();
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({
      name: 'CredentialsError',
      hint: expect.stringContaining(passwordFile),
    });
    writeFileSync(passwordFile, 'second');
    await pool.query('SELECT 1');
    await pool.query('DROP ROLE changing').catch(() => {});
  });

  test('a file that everyone can read is refused', async () => {
    await using database = await postgres.createDatabase();
    writeFileSync(passwordFile, 'secret');
    chmodSync(passwordFile, 0o644);
    await using pool = createLedgerPool({ ...database.writer, passwordFile, log: recordingLog() });
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({ hint: expect.stringContaining('chmod o=') });
  });

  test('a database that does not exist is a mistake in the config', async () => {
    await using database = await postgres.createDatabase();
    await using pool = createLedgerPool({ ...database.writer, database: 'nowhere', log: recordingLog() });
    await expect(pool.query('SELECT 1')).rejects.toThrow(ConfigError);
  });
});

test("a real server's own TLS is verified too", async () => {
  const { startTestPostgres } = await import('../support/postgres.ts');
  const { cert, key } = certificate;
  await using server = await startTestPostgres({ tls: { certificate: cert, key } });
  await using database = await server.createDatabase();
  const overTls = {
    ...{ ...database.writer, host: 'localhost', port: server.tcpPort ?? 0, caFile: ca.certFile, log: recordingLog() },
    tls: 'verify-full' as const,
  };
  await using pool = createLedgerPool(overTls);
  expect((await pool.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows).toEqual([{ ssl: true }]);
  await using plain = createLedgerPool({ ...overTls, tls: 'off' });
  await expect(plain.query('SELECT 1')).rejects.toThrow('no encryption');
  await using byAddress = createLedgerPool({ ...overTls, host: '127.0.0.1' });
  await expect(byAddress.query('SELECT 1')).rejects.toMatchObject({ hint: expect.stringContaining('127.0.0.1') });
});
