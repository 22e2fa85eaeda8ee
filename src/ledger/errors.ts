/**
 * What an error of the `pg` client means, and what the operator can do about it.
 *
 * SQLSTATE codes: PostgreSQL manual, appendix A. RDS answers a refused IAM token with 28000, "PAM authentication failed".
 */
import { isIP } from 'node:net';
import {
  ConfigError,
  CredentialsError,
  codeOf,
  DropledgerError,
  exitCode,
  messageOf,
  ServiceUnavailable,
} from '../service/errors.ts';
import { rdsRoots } from './rds-roots.ts';

/** Which database was meant: for messages, so no secret. */
export interface LedgerTarget {
  /** Host name, address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly region: string | undefined;
  readonly auth: 'iam' | 'password';
  readonly passwordFile: string | undefined;
  readonly caFile: string | undefined;
}

/**
 * - `unreachable`: no answer, or the connection broke. `busy`: it answered "not now". Waiting mends both.
 * - `read-only`: a standby, or a primary that was demoted under an open connection.
 * - `row`: this row can never be recorded as it is; another may.
 */
export type LedgerProblem =
  | 'unreachable'
  | 'busy'
  | 'read-only'
  | 'login'
  | 'database'
  | 'rights'
  | 'schema'
  | 'certificate'
  | 'no-tls'
  | 'row'
  | 'unknown';

/** Postgres refuses a row for what it contains. */
export class RowRefused extends DropledgerError {
  override readonly exitCode = exitCode.failed;
}

const certificateCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** The SQLSTATEs that matter one by one; classes are below. */
const problemOfState: Readonly<Record<string, LedgerProblem>> = {
  '25006': 'read-only', // read_only_sql_transaction
  '3D000': 'database', // invalid_catalog_name
  '3F000': 'schema', // invalid_schema_name
  '42P01': 'schema', // undefined_table
  '42703': 'schema', // undefined_column: a schema that is too old
  '42501': 'rights', // insufficient_privilege
  '54000': 'row', // program_limit_exceeded: a value too long for an index
  '57014': 'busy', // query_canceled: statement_timeout
  '55P03': 'busy', // lock_not_available: lock_timeout
};

const problemOfStateClass: Readonly<Record<string, LedgerProblem>> = {
  '08': 'unreachable', // connection exception
  '22': 'row', // data exception
  '23': 'row', // integrity constraint violation
  '25': 'busy', // invalid transaction state: an idle time-out
  '28': 'login', // invalid authorization
  '40': 'busy', // transaction rollback: deadlock, serialization
  '53': 'busy', // insufficient resources: disk full, too many connections
  '57': 'busy', // operator intervention: shutting down, starting up
  '58': 'busy', // system error
  XX: 'busy', // internal error
};

/** Five characters; Node's own codes that are as short (EPIPE, EPERM) start with an E, which no class of Postgres does. */
const isSqlState = (code: string | undefined): code is string =>
  code !== undefined && /^[0-9A-DF-Z][0-9A-Z]{4}$/.test(code);

export function problemOf(error: unknown): LedgerProblem {
  const code = codeOf(error);
  if (isSqlState(code)) return problemOfState[code] ?? problemOfStateClass[code.slice(0, 2)] ?? 'unknown';
  if (code !== undefined && certificateCodes.has(code)) return 'certificate';
  if (code !== undefined) return 'unreachable';
  const message = messageOf(error);
  if (/does not support SSL/.test(message)) return 'no-tls';
  if (/^SASL/.test(message)) return 'login';
  if (/terminated|timeout|SSL connection/i.test(message)) return 'unreachable';
  return 'unknown';
}

/** Whether the connection that gave this error can still be used: the server refused a statement and no more. */
export function connectionSurvives(error: unknown): boolean {
  return (error as { severity?: unknown } | null)?.severity === 'ERROR' && problemOf(error) !== 'read-only';
}

/** The error in the kinds of `service/errors.ts`, with its hint. What already is one stays as it is. */
export function ledgerError(error: unknown, target: LedgerTarget): DropledgerError {
  if (error instanceof DropledgerError) return error;
  const where = isSocketFolder(target.host) ? target.host : `${target.host}:${target.port}`;
  const said = describe(error);
  const cause = error;
  switch (problemOf(error)) {
    case 'unreachable':
      return new ServiceUnavailable('ledger', `the ledger at ${where} can't be reached: ${said}`, {
        hint: unreachableHint(error, target),
        cause,
      });
    case 'busy':
      return new ServiceUnavailable('ledger', `the ledger at ${where} can't answer now: ${said}`, {
        answered: true,
        hint: busyHint(error),
        cause,
      });
    case 'read-only':
      return new ServiceUnavailable('ledger', `the ledger at ${where} is read-only: ${said}`, {
        answered: true,
        hint: 'A failover mends itself. If it lasts, ledger.host is a read replica: name the writer endpoint.',
        cause,
      });
    case 'login':
      return new CredentialsError(`the ledger at ${where} refuses the login of "${target.user}": ${said}`, {
        hint: loginHint(target),
        cause,
      });
    case 'database':
      return new ConfigError(`the ledger at ${where} has no database "${target.database}"`, {
        hint: 'Name an existing database in ledger.database, or create it.',
        cause,
      });
    case 'rights':
      return new ConfigError(`"${target.user}" lacks a right in database "${target.database}": ${said}`, {
        hint: 'Run "dropledger migrate" as the owner of the database, and let ledger.user be dropledger_writer or a member of it.',
        cause,
      });
    case 'schema':
      return new ConfigError(`the ledger's schema is missing or too old in database "${target.database}": ${said}`, {
        hint: 'Run "dropledger migrate" as the owner of the database.',
        cause,
      });
    case 'certificate':
      return new ConfigError(`the certificate of the ledger at ${where} can't be verified: ${said}`, {
        hint: certificateHint(error, target),
        cause,
      });
    case 'no-tls':
      return new ConfigError(`the ledger at ${where} offers no TLS`, {
        hint: 'Turn on ssl in that server. Only a server on this very machine may be used without (ledger.tls "off").',
        cause,
      });
    case 'row':
      return new RowRefused(`Postgres refuses the row: ${said}`, { cause });
    case 'unknown':
      return new ServiceUnavailable('ledger', `the ledger at ${where} failed: ${said}`, { cause });
  }
}

/** The folder of a unix socket rather than a host name. */
export const isSocketFolder = (host: string): boolean => host.startsWith('/');

/** Node reports several addresses tried as an AggregateError without a message. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  const code = codeOf(error);
  return isSqlState(code) ? `${messageOf(error)} (${code})` : messageOf(error);
}

function unreachableHint(error: unknown, target: LedgerTarget): string {
  const waits = 'The daemon goes on uploading; its rows wait in the local journal.';
  if (isSocketFolder(target.host)) return `Check that Postgres runs and has its socket there. ${waits}`;
  if (codeOf(error) === 'ENOTFOUND')
    return `No address is known for that name: check ledger.host and the resolver. ${waits}`;
  return `Check that the database runs and that its firewall or security group lets this machine in. ${waits}`;
}

function busyHint(error: unknown): string {
  if (codeOf(error) === '53300') return 'The server has no free connection: raise its max_connections.';
  if (codeOf(error) === '53100') return "The server's disk is full: give it more storage.";
  return 'It is asked again by itself. If it lasts, look into the log of the database.';
}

function loginHint({ auth, user, host, region, passwordFile }: LedgerTarget): string {
  if (auth === 'password') return `Check the password in ${passwordFile ?? 'ledger.passwordFile'}.`;
  const alias = isIP(host) === 0 && !/\.rds\.amazonaws\.com(\.cn)?$/.test(host);
  return [
    `Check that "${user}" exists and has the role rds_iam ("dropledger migrate" sees to it), that the AWS identity may`,
    `rds-db:connect as it, that ledger.region (${region ?? 'none'}) is the database's, that IAM authentication is enabled`,
    `there, and that this machine's clock is right.`,
    ...(alias ? ['ledger.host must be the real RDS endpoint, not an alias: the token is signed for that name.'] : []),
  ].join(' ');
}

function certificateHint(error: unknown, { host, region, caFile }: LedgerTarget): string {
  const code = codeOf(error);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `The certificate is not made out for "${host}": set ledger.host to the name that stands in it.`;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return "Renew the server's certificate; if it is current, this machine's clock is wrong.";
  if (caFile !== undefined) return `No certificate in ${caFile} (ledger.caFile) has signed it.`;
  const bundle = 'set ledger.caFile to the CA bundle that signed it (for RDS, global-bundle.pem from AWS).';
  const { regions } = rdsRoots();
  if (region !== undefined && !regions.includes(region))
    return `The bundled RDS roots don't cover ${region} (they cover ${regions.join(', ')}): ${bundle}`;
  return `None of the bundled RDS roots has signed it: ${bundle}`;
}
