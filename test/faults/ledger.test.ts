import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { describe, expect, test, vi } from 'vitest';
import { textOf } from '../../src/service/path-bytes.ts';
import type { Daemon, LogLine } from '../support/daemon.ts';
import { filesIn } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { runProgram } from '../support/daemon-program.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { type NetworkLink, startNetworkLink } from '../support/network-link.ts';
import { startTestPostgres, usePostgres } from '../support/postgres.ts';

/**
 * Whatever ails Postgres: uploads go on, the journal says once that the ledger is down and once that it is back, and
 * the rows come in the order of the uploads. Nobody starts the daemon anew.
 */
const postgres = usePostgres();

/** A workplace whose daemon logs in by a role of its own, through a link of its own: what is done to them harms no other test. */
interface Ledger extends AsyncDisposable {
  readonly place: Workplace;
  readonly link: NetworkLink;
  readonly role: string;
  readonly passwordFile: string;
  /** One statement as the superuser. */
  sql(statement: string): Promise<void>;
  /** New connections alone feel what was changed of a role or a database. */
  endConnections(): Promise<void>;
}

async function makeLedger(): Promise<Ledger> {
  const stack = new AsyncDisposableStack();
  const place = stack.use(await makeWorkplace({ postgres }));
  const link = stack.use(await startNetworkLink({ to: join(postgres.host, `.s.PGSQL.${postgres.port}`) }));
  const role = `${place.database.name}_writer`;
  const passwordFile = join(place.folder, 'ledger-password');
  const sql = async (statement: string) => void (await place.database.query(statement));
  await sql(`CREATE ROLE ${role} LOGIN PASSWORD 'first' IN ROLE dropledger_writer`);
  await writeFile(passwordFile, 'first', { mode: 0o600 });
  await place.configure({ ledger: { host: '127.0.0.1', port: link.port, user: role, passwordFile } });
  const endConnections = () => sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`);
  return { place, link, role, passwordFile, sql, endConnections, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function dropTen(place: Workplace, name: string): Promise<void> {
  for (let file = 0; file < 10; file += 1) await place.drop(`${name}/${file}.txt`, `${name} ${file}`);
}

const down = (daemon: Daemon): LogLine[] => daemon.named('ledger-down');
const up = (daemon: Daemon): LogLine[] => daemon.named('ledger-up');

/** The rows stand in the ledger in the order in which the files were uploaded, and were committed in it. */
async function expectInOrder(place: Workplace, daemon: Daemon): Promise<void> {
  const rows = await expectInvariants(place);
  expect(rows.map(({ id }) => id)).toEqual(daemon.named('uploaded').map(({ id }) => id));
  const recorded = rows.map(({ recorded_at }) => recorded_at.getTime());
  expect(recorded).toEqual(recorded.toSorted((one, other) => one - other));
  expect(daemon.named('paused')).toEqual([]);
}

/** The same, and the ledger was down once, and up again once, as far as anybody was told. */
async function expectOneOutage(place: Workplace, daemon: Daemon): Promise<void> {
  await expectInOrder(place, daemon);
  expect([down(daemon).length, up(daemon).length]).toEqual([1, 1]);
}

interface Fault {
  readonly what: string;
  breakIt(ledger: Ledger): Promise<void>;
  mendIt(ledger: Ledger): Promise<void>;
  /** What its line says: waiting mends a `warning`, a person must mend an `error`. */
  readonly says: { readonly level: 'warning' | 'error'; readonly error: RegExp; readonly hint: RegExp };
}

const faults: readonly Fault[] = [
  {
    what: 'breaks every connection',
    async breakIt({ link }) {
      link.mode = 'refuse';
      link.cut();
    },
    async mendIt({ link }) {
      link.mode = 'pass';
    },
    says: { level: 'warning', error: /can't be reached/, hint: /goes on uploading/ },
  },
  {
    what: 'keeps every connection open and says nothing any more',
    async breakIt({ link }) {
      link.mode = 'silent';
    },
    async mendIt({ link }) {
      link.mode = 'pass';
    },
    says: { level: 'warning', error: /can't be reached/, hint: /goes on uploading/ },
  },
  {
    what: 'is read-only',
    async breakIt({ role, sql, endConnections }) {
      await sql(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
      await endConnections();
    },
    async mendIt({ role, sql }) {
      await sql(`ALTER ROLE ${role} RESET default_transaction_read_only`);
    },
    says: { level: 'warning', error: /read-only/, hint: /failover/ },
  },
  {
    what: 'lets the role have no connection',
    async breakIt({ role, sql, endConnections }) {
      await sql(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
      await endConnections();
    },
    async mendIt({ role, sql }) {
      await sql(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    },
    says: { level: 'warning', error: /53300/, hint: /max_connections/ },
  },
  {
    what: 'lets the role log in no more',
    async breakIt({ role, sql, endConnections }) {
      await sql(`ALTER ROLE ${role} NOLOGIN`);
      await endConnections();
    },
    async mendIt({ role, sql }) {
      await sql(`ALTER ROLE ${role} LOGIN`);
    },
    says: { level: 'error', error: /refuses the login/, hint: /password/ },
  },
  {
    what: 'has another password, until the file has it too',
    async breakIt({ role, sql, endConnections }) {
      await sql(`ALTER ROLE ${role} PASSWORD 'second'`);
      await endConnections();
    },
    async mendIt({ passwordFile }) {
      await writeFile(passwordFile, 'second');
    },
    says: { level: 'error', error: /28P01/, hint: /ledger-password/ },
  },
  {
    what: 'has taken the right to record away',
    async breakIt({ role, sql }) {
      await sql(`REVOKE dropledger_writer FROM ${role}`);
    },
    async mendIt({ role, sql }) {
      await sql(`GRANT dropledger_writer TO ${role}`);
    },
    says: { level: 'error', error: /lacks a right/, hint: /dropledger migrate/ },
  },
  {
    what: 'has lost its schema, until it is found again',
    async breakIt({ sql }) {
      await sql('ALTER SCHEMA dropledger RENAME TO lost');
    },
    async mendIt({ sql }) {
      await sql('ALTER SCHEMA lost RENAME TO dropledger');
    },
    says: { level: 'error', error: /schema/, hint: /dropledger migrate/ },
  },
];

describe('a ledger in trouble', () => {
  test('that restarts again and again, while files keep coming', async () => {
    await using place = await makeWorkplace({ postgres });
    const daemon = await place.start();
    for (let round = 0; round < 4; round += 1) {
      await dropTen(place, `round ${round}`);
      await daemon.waitFor('uploaded', {}, 10 * round + 5);
      await postgres.stop(round % 2 === 0 ? 'fast' : 'immediate');
      await dropTen(place, `stopped ${round}`);
      await postgres.start();
    }
    await expectInOrder(place, daemon);
    expect(down(daemon)).toHaveLength(up(daemon).length);
    expect(down(daemon).length).toBeLessThanOrEqual(4);
  });

  test('whose connections are all taken by others', async () => {
    await using place = await makeWorkplace({ postgres });
    await using others = await takeAllConnections(place);
    const daemon = await place.start();
    await dropTen(place, 'crowded');
    await daemon.waitFor('uploaded', {}, 10);
    await daemon.waitFor('ledger-down', { level: 'warning', error: /53300/, hint: /max_connections/ });
    await others.leave();
    await daemon.waitFor('ledger-up');
    await expectOneOutage(place, daemon);
  });

  test.concurrent.each(faults)('that $what', async ({ breakIt, mendIt, says }) => {
    await using ledger = await makeLedger();
    const { place } = ledger;
    const daemon = await place.start();
    await dropTen(place, 'before');
    await expectInOrder(place, daemon);

    await breakIt(ledger);
    await dropTen(place, 'during');
    await daemon.waitFor('uploaded', {}, 20);
    await daemon.waitFor('ledger-down', { ...says });
    await dropTen(place, 'still');
    await daemon.waitFor('uploaded', {}, 30);
    await mendIt(ledger);
    await daemon.waitFor('ledger-up', { level: 'info' });
    await dropTen(place, 'after');
    await expectOneOutage(place, daemon);
  });

  test.concurrent('that fails over: connections drop, the old server is read-only, the new one takes over', async () => {
    await using ledger = await makeLedger();
    const { place, link, role, sql, endConnections } = ledger;
    const daemon = await place.start();
    await dropTen(place, 'before');
    await expectInOrder(place, daemon);

    link.mode = 'refuse';
    link.cut();
    await dropTen(place, 'cut');
    await daemon.waitFor('ledger-down');
    await sql(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
    const before = link.connections;
    link.mode = 'pass';
    await dropTen(place, 'demoted');
    // a second login: the first one was given up, because it could not write
    await vi.waitFor(() => expect(link.connections).toBeGreaterThan(before + 1), { timeout: 60_000 });
    await sql(`ALTER ROLE ${role} RESET default_transaction_read_only`);
    await endConnections();
    await daemon.waitFor('ledger-up');
    await expectOneOutage(place, daemon);
  });

  test.concurrent('that refuses one row for its content: set aside, the rest flows, and the next start sends it again', async () => {
    await using ledger = await makeLedger();
    const { place, sql } = ledger;
    await sql(`ALTER TABLE dropledger.uploads ADD CONSTRAINT nothing_odd CHECK (path <> 'odd.txt')`);
    const first = await place.start();
    await place.drop('odd.txt', 'odd');
    await first.waitFor('set-aside', { level: 'error', path: 'odd.txt', error: /nothing_odd/ });
    await dropTen(place, 'even');
    const left = async () => (await filesIn(place.inbox)).map(textOf);
    await vi.waitFor(async () => expect(await left()).toEqual(['odd.txt']), { timeout: 30_000 });
    expect(await place.rows()).toHaveLength(10);
    await first.kill();
    await sql('ALTER TABLE dropledger.uploads DROP CONSTRAINT nothing_odd');
    const second = await place.start();
    await expectInvariants(place);
    expect([down(first), down(second), second.named('set-aside')]).toEqual([[], [], []]);
  });

  test.concurrent('that has no schema yet, until somebody migrates', async () => {
    await using ledger = await makeLedger();
    const { place, sql } = ledger;
    await sql('DROP SCHEMA dropledger CASCADE');
    const daemon = await place.start();
    await dropTen(place, 'too early');
    await daemon.waitFor('uploaded', {}, 10);
    await daemon.waitFor('ledger-down', { level: 'error', error: /schema/, hint: /dropledger migrate/ });
    await migrate(place);
    await daemon.waitFor('ledger-up');
    await expectOneOutage(place, daemon);
  });

  test.concurrent('that was migrated for a newer dropledger, until that is undone', async () => {
    await using ledger = await makeLedger();
    const { place, sql } = ledger;
    await sql('INSERT INTO dropledger.schema_version (version, compatible_from) VALUES (1000, 1000)');
    const daemon = await place.start();
    await dropTen(place, 'too new');
    await daemon.waitFor('uploaded', {}, 10);
    await daemon.waitFor('ledger-down', { level: 'error', error: /too new/, hint: /Upgrade dropledger/ });
    await sql('UPDATE dropledger.schema_version SET compatible_from = 1 WHERE version = 1000');
    await daemon.waitFor('ledger-up');
    await expectOneOutage(place, daemon);
  });

  test.concurrent('that takes 5 s for each answer', async () => {
    await using ledger = await makeLedger();
    const { place, link } = ledger;
    link.answerDelayMs = 5000;
    const daemon = await place.start();
    for (let file = 0; file < 3; file += 1) {
      await place.drop(`${file}.txt`, `slowly ${file}`);
      await daemon.waitFor('uploaded', {}, file + 1);
    }
    await expectInvariants(place, { patienceMs: 90_000 });
    expect(down(daemon)).toEqual([]);
  });
});

/** As many logins as the server takes of anybody but superusers. */
async function takeAllConnections({ database }: Workplace) {
  const { host, port, user, passwordFile = '' } = database.reader;
  const password = await readFile(passwordFile, 'utf8');
  const clients: pg.Client[] = [];
  for (;;) {
    const client = new pg.Client({ host, port, user, password, database: database.name });
    client.on('error', () => {});
    try {
      await client.connect();
    } catch {
      break;
    }
    clients.push(client);
  }
  expect(clients.length).toBeGreaterThan(10);
  const leave = async () => void (await Promise.all(clients.splice(0).map((client) => client.end())));
  return { leave, [Symbol.asyncDispose]: leave };
}

/** `dropledger migrate` with the login of the database's owner. */
async function migrate({ config, configFile, database, env }: Workplace): Promise<void> {
  const file = `${configFile}.owner`;
  const { user, passwordFile = '' } = database.admin;
  await writeFile(file, JSON.stringify({ ...config, ledger: { ...config.ledger, user, passwordFile } }));
  expect(await runProgram(['migrate', '--config', file], env)).toMatchObject({ code: 0 });
}

const run = promisify(execFile);

/** A file system in memory of 8 MiB, in the hands of Postgres. */
async function mountSmallDisk() {
  const folder = await mkdtemp(join(tmpdir(), 'dropledger-small-disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=8m,uid=65534,gid=65534', 'dropledger-test', folder]);
  return {
    folder,
    async fill() {
      const { bavail, bsize } = await statfs(folder);
      await run('fallocate', ['-l', String(bavail * bsize), join(folder, 'ballast')]);
    },
    makeRoom: () => rm(join(folder, 'ballast')),
    async [Symbol.asyncDispose]() {
      await run('umount', [folder]);
      await rm(folder, { recursive: true });
    },
  };
}

// Nobody else may mount.
test.skipIf(process.getuid?.() !== 0)('a ledger whose disk is full', async () => {
  await using disk = await mountSmallDisk();
  await using server = await startTestPostgres();
  await using place = await makeWorkplace({ postgres: server });
  const { query } = place.database;
  const data = join(disk.folder, 'data');
  await mkdir(data);
  await chown(data, 65534, 65534);
  await query(`CREATE TABLESPACE small LOCATION '${data}'`);
  await query('ALTER TABLE dropledger.uploads SET TABLESPACE small');
  const daemon = await place.start();
  await dropTen(place, 'before');
  await expectInOrder(place, daemon);

  await disk.fill();
  for (let file = 0; file < 100; file += 1) await place.drop(`during/${file}.txt`, `during ${file}`);
  await daemon.waitFor('uploaded', {}, 110);
  await daemon.waitFor('ledger-down', { level: 'warning', error: /53100/, hint: /more storage/ });
  await disk.makeRoom();
  await daemon.waitFor('ledger-up');
  await expectOneOutage(place, daemon);
});
