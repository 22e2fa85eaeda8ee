/**
 * Connections to the ledger that survive months: a fresh secret for each login, TLS that is always verified, and no
 * wait without an end. Errors come out in the kinds of `service/errors.ts`, see `errors.ts`.
 */
import type { AwsCredentialIdentity } from '@smithy/types';
import pg from 'pg';
import type { EventLog } from '../model.ts';
import { ConfigError, messageOf } from '../service/errors.ts';
import { columnTypes } from './column-types.ts';
import { connectionSurvives, type LedgerTarget, ledgerError, problemOf } from './errors.ts';
import { readPassword } from './password-file.ts';
import { rdsToken } from './rds-token.ts';
import { tlsOptions } from './tls.ts';

export interface LedgerPoolOptions extends LedgerTarget {
  readonly tls: 'verify-full' | 'off';
  /** Needed for `auth: 'iam'`. */
  readonly credentials?: (() => Promise<AwsCredentialIdentity>) | undefined;
  readonly log: EventLog;
  /** Connections at most. */
  readonly max?: number | undefined;
  /** For a connection to be made, TLS and login included. */
  readonly connectTimeoutMs?: number | undefined;
  /** For one statement; 0: none. */
  readonly statementTimeoutMs?: number | undefined;
}

export interface LedgerPool {
  readonly target: LedgerTarget;
  /** One statement. Rejects with the kinds of `service/errors.ts` or `RowRefused`; the signal's reason where it was aborted. */
  query<Row extends pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    signal?: AbortSignal,
  ): Promise<pg.QueryResult<Row>>;
  /** Several statements on one connection, which is closed where `use` rejects. Same errors. */
  withClient<Result>(use: (client: pg.ClientBase) => Promise<Result>, signal?: AbortSignal): Promise<Result>;
  /** Breaks them all, such as after a failover. Statements under way reject; the next one connects anew. */
  dropConnections(): void;
  /** Breaks what is still under way; to be called when nobody waits for a result any more. */
  [Symbol.asyncDispose](): Promise<void>;
}

const defaults = { max: 2, connectTimeoutMs: 10_000, statementTimeoutMs: 20_000 };
const keepAliveDelayMs = 10_000;
const idleTimeoutMs = 60_000;
/** A connection is not kept for ever, so that load moves to a new instance and a renewed right is used. */
const maxLifetimeSeconds = 30 * 60;
const lockTimeoutMs = 10_000;
const idleInTransactionTimeoutMs = 60_000;
/** How much longer than the server's own limit we wait for its answer, before the connection counts as dead. */
const answerGraceMs = 5_000;

/** @throws ConfigError where the options can't make a safe connection. Connects when it is first used. */
export function createLedgerPool(options: LedgerPoolOptions): LedgerPool {
  const { host, port, database, user, log } = options;
  const statementTimeoutMs = options.statementTimeoutMs ?? defaults.statementTimeoutMs;
  const clients = new Set<pg.Client>();
  const pool = new pg.Pool({
    host,
    port,
    database,
    user,
    password: loginSecret(options),
    ssl: tlsOptions(options),
    sslnegotiation: 'postgres', // Else PGSSLNEGOTIATION of the environment decides.
    application_name: 'dropledger',
    max: options.max ?? defaults.max,
    connectionTimeoutMillis: options.connectTimeoutMs ?? defaults.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    idleTimeoutMillis: idleTimeoutMs,
    maxLifetimeSeconds,
    ...(statementTimeoutMs > 0 && { query_timeout: statementTimeoutMs + answerGraceMs }),
    types: columnTypes,
    Client: clientThatKeepsIn(clients) as unknown as new () => pg.ClientBase,
    onConnect: (client) => prepareSession(client, statementTimeoutMs),
  });
  // Without a listener a failover would end the process (node-postgres #3260). An idle connection that breaks is no
  // harm: the pool has taken it out already.
  pool.on('error', (error) => log.debug('an idle connection to the ledger broke', { error: messageOf(error) }));

  const dropConnections = () => {
    for (const client of clients) {
      breakOff(client);
      client.emit('error', new Error('connection dropped')); // The pool takes idle ones out at once, not when they close.
    }
  };

  async function use<Result>(
    work: (client: pg.PoolClient) => Promise<Result>,
    signal: AbortSignal | undefined,
    survives: (error: unknown) => boolean,
  ): Promise<Result> {
    signal?.throwIfAborted();
    let client: pg.PoolClient | undefined;
    // Without one we wait for a login, or for somebody else's connection: the pool can't tell which.
    const abort = () => (client === undefined ? dropConnections() : breakOff(client));
    signal?.addEventListener('abort', abort, { once: true });
    try {
      client = await pool.connect();
      signal?.throwIfAborted();
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      if (client !== undefined) {
        const keep = survives(error);
        if (!keep) breakOff(client);
        client.release(!keep);
      }
      signal?.throwIfAborted();
      if (problemOf(error) === 'read-only') dropConnections(); // The idle ones lead to the demoted server as well.
      throw ledgerError(error, options);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  return {
    target: options,
    query: (text, values, signal) =>
      use((client) => client.query(text, values as unknown[] | undefined), signal, connectionSurvives),
    withClient: (work, signal) => use(work, signal, () => false),
    dropConnections,
    async [Symbol.asyncDispose]() {
      const ended = pool.end();
      // Idle ones say goodbye; whatever is checked out or still connecting would hold the end up.
      if (pool.totalCount > 0) dropConnections();
      await ended;
    },
  };
}

function loginSecret(options: LedgerPoolOptions): () => Promise<string> {
  const { auth, passwordFile } = options;
  if (auth === 'iam') return rdsToken({ ...options, credentials: options.credentials });
  if (passwordFile === undefined)
    throw new ConfigError('ledger.auth "password" needs ledger.passwordFile', { hint: 'Name the file that holds it.' });
  return () => readPassword(passwordFile);
}

/**
 * Settings of the session. Not start-up parameters: poolers between us and the server refuse those.
 * A row counts as recorded when its commit is on the server's disk, so `synchronous_commit = off` is not for us.
 */
async function prepareSession(client: pg.ClientBase, statementTimeoutMs: number): Promise<void> {
  await client.query(
    `SELECT set_config('DateStyle', 'ISO', false),
            set_config('TimeZone', 'UTC', false),
            set_config('statement_timeout', $1, false),
            set_config('lock_timeout', $2, false),
            set_config('idle_in_transaction_session_timeout', $3, false),
            CASE current_setting('synchronous_commit')
              WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END`,
    [statementTimeoutMs, lockTimeoutMs, idleInTransactionTimeoutMs].map(String),
  );
}

/** A `pg.Client` class whose instances stand in `clients` for as long as they have a socket. */
function clientThatKeepsIn(clients: Set<pg.Client>): typeof pg.Client {
  return class extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super(config);
      // The pool listens to idle clients only; on a checked-out one a broken connection would end the process.
      // The statement under way rejects with the same error.
      this.on('error', () => {});
      // pg leaves the socket open where a login fails on our side, such as for want of a token.
      this.connection.on('error', () => breakOff(this));
      clients.add(this);
      this.once('end', () => clients.delete(this));
    }
  };
}

/** Closes the socket without a goodbye: there may be nobody at the other end. */
function breakOff(client: pg.ClientBase): void {
  (client as pg.Client).connection.stream.destroy();
}
