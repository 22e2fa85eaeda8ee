/**
 * A real Postgres for a test file: one server for the whole file, a fresh database for each test. Roles belong to the
 * server, so test files that run at the same time don't meet.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/demo/postgres.ts';
import type { Server } from '../../src/demo/postgres-server.ts';
import { migrate } from '../../src/ledger/migrate.ts';
import type { LedgerPoolOptions } from '../../src/ledger/pool.ts';
import type { EventLog } from '../../src/model.ts';

/** What `createLedgerPool` and `migrate` take, but for the log. */
export type LedgerLogin = Omit<LedgerPoolOptions, 'log'>;

export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** Owner of the database, may create roles, and is no superuser: as RDS's master user. */
  readonly admin: LedgerLogin;
  readonly superuser: LedgerLogin;
  /** These two can log in once a database of this server has been migrated. */
  readonly writer: LedgerLogin;
  readonly reader: LedgerLogin;
  /** One statement as the superuser. */
  query(sql: string, values?: unknown[]): Promise<pg.QueryResult>;
}

export interface TestPostgres extends Pick<Server, 'start' | 'stop'>, AsyncDisposable {
  /** Folder of the unix socket. */
  readonly host: string;
  readonly port: number;
  /** On 127.0.0.1, where `tcp` or `tls` was asked for. */
  readonly tcpPort: number | undefined;
  createDatabase(options?: { migrated?: boolean }): Promise<TestDatabase>;
  restart(): Promise<void>;
}

/** Registers hooks: the server starts before the tests of this file or `describe`, and is gone after them. */
export function usePostgres(options?: Omit<EmbeddedPostgresOptions, 'directory'>): TestPostgres {
  let server: TestPostgres | undefined;
  beforeAll(async () => {
    server = await startTestPostgres(options);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  const started = () => {
    if (server === undefined) throw new Error('the server starts in beforeAll');
    return server;
  };
  return {
    get host() {
      return started().host;
    },
    get port() {
      return started().port;
    },
    get tcpPort() {
      return started().tcpPort;
    },
    createDatabase: (wanted) => started().createDatabase(wanted),
    start: () => started().start(),
    stop: (mode) => started().stop(mode),
    restart: () => started().restart(),
    [Symbol.asyncDispose]: () => started()[Symbol.asyncDispose](),
  };
}

export async function startTestPostgres(options?: Omit<EmbeddedPostgresOptions, 'directory'>): Promise<TestPostgres> {
  const server = await startEmbeddedPostgres({ temporaryParent: fastFolder(), ...options });
  const { host, port, superuser } = server;

  const login = (user: string, passwordFile: string, database: string): LedgerLogin => ({
    ...{ host, port, database, user, passwordFile, auth: 'password', tls: 'off', region: undefined, caFile: undefined },
  });
  const asSuperuser = async (database: string, sql: string, values?: unknown[]) => {
    await using client = await connect(host, port, database, superuser.passwordFile);
    return await client.query(sql, values);
  };
  const setPassword = async (role: string) => {
    const password = randomBytes(12).toString('base64url');
    const file = join(server.directory, `${role}-password`);
    writeFileSync(file, password, { mode: 0o600 });
    await asSuperuser('postgres', `ALTER ROLE ${role} PASSWORD '${password}'`);
    return file;
  };
  const logins = (database: string) => ({
    admin: login('ledger_admin', adminPassword, database),
    superuser: login(superuser.user, superuser.passwordFile, database),
    writer: login('dropledger_writer', join(server.directory, 'dropledger_writer-password'), database),
    reader: login('dropledger_reader', join(server.directory, 'dropledger_reader-password'), database),
  });

  await asSuperuser('postgres', 'CREATE ROLE ledger_admin LOGIN CREATEROLE');
  const adminPassword = await setPassword('ledger_admin');

  let template: Promise<string> | undefined;
  async function makeTemplate(): Promise<string> {
    const name = 'migrated_template';
    await asSuperuser('postgres', `CREATE DATABASE ${name} OWNER ledger_admin`);
    await migrate({ ...logins(name).admin, log: silentLog });
    await setPassword('dropledger_writer');
    await setPassword('dropledger_reader');
    return name;
  }

  return {
    host,
    port,
    tcpPort: server.tcpPort,
    async createDatabase({ migrated = true } = {}) {
      if (migrated) template ??= makeTemplate();
      const name = `test_${randomBytes(6).toString('hex')}`;
      const from = migrated ? `TEMPLATE ${await template}` : '';
      await asSuperuser('postgres', `CREATE DATABASE ${name} OWNER ledger_admin ${from}`);
      return {
        name,
        ...logins(name),
        query: (sql, values) => asSuperuser(name, sql, values),
        async [Symbol.asyncDispose]() {
          await asSuperuser('postgres', `DROP DATABASE ${name} WITH (FORCE)`);
        },
      };
    },
    start: server.start,
    stop: server.stop,
    async restart() {
      await server.stop();
      await server.start();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/**
 * Where temporary files are fast: in memory where there is plenty, and programs may run there. Creating a database is
 * creating 300 files: 12 ms in memory, 300 ms on a disk that was measured.
 */
export function fastFolder(): string {
  const memory = '/dev/shm';
  const options = /^\S+ \/dev\/shm \S+ (\S+)/m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1]?.split(',');
  if (options === undefined || options.includes('noexec')) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize > memoryNeededBytes ? memory : tmpdir();
}

/** Room for some servers at a time; a container often has 64 MiB there. */
const memoryNeededBytes = 2 * 1024 ** 3;

/** A log that nobody reads. */
const silentLog: EventLog = { info() {}, warning() {}, error() {}, debug() {} };

async function connect(host: string, port: number, database: string, passwordFile: string) {
  const client = new pg.Client({
    host,
    port,
    database,
    user: 'postgres',
    password: readFileSync(passwordFile, 'utf8'),
  });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}
