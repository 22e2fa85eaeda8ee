/** The kinds of failure, by who can mend them. The part that knows a service classifies; the queue and the edge decide. */

/** Exit codes, after sysexits.h, as the README lists them. */
export const exitCode = {
  fine: 0,
  failed: 1,
  usage: 64,
  unavailable: 69,
  credentials: 77,
  config: 78,
} as const;

interface ErrorDetails {
  /** What the operator should do, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors that dropledger raises itself: a message for the journal, a hint for the operator, an exit code. */
export abstract class DropledgerError extends Error {
  abstract readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, { hint, cause }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.hint = hint;
  }
}

/** The command line is wrong. */
export class UsageError extends DropledgerError {
  override readonly exitCode = exitCode.usage;
}

/** The configuration is wrong, or names something that does not exist (a bucket, a folder, a region). */
export class ConfigError extends DropledgerError {
  override readonly exitCode = exitCode.config;
}

/** AWS answered that the credentials are bad or lack a right, or there are none to ask with. A person must act. */
export class CredentialsError extends DropledgerError {
  override readonly exitCode = exitCode.credentials;
}

/** A service could not be reached, or asks to come back later. Waiting mends it. */
export class ServiceUnavailable extends DropledgerError {
  override readonly exitCode = exitCode.unavailable;
  readonly service: 's3' | 'sts' | 'ledger' | 'credentials' | 'daemon';
  /** The service did answer (503, SlowDown…); false for time-outs, resets, DNS. */
  readonly answered: boolean;

  constructor(
    service: ServiceUnavailable['service'],
    message: string,
    { answered = false, ...details }: ErrorDetails & { readonly answered?: boolean } = {},
  ) {
    super(message, details);
    this.service = service;
    this.answered = answered;
  }
}

/** This file can never be uploaded as it is: it goes to quarantine with the message as the reason. */
export class FileRejected extends DropledgerError {
  override readonly exitCode = exitCode.failed;
}

/** Anything that went wrong on this machine and is none of the above: a full disk, an unreadable folder. */
export class LocalFailure extends DropledgerError {
  override readonly exitCode = exitCode.failed;
}

/** The message of anything that was thrown, in one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replace(/\s+/g, ' ').trim();
}

/** The `code` of a Node system error (`ENOENT`, `ECONNRESET`…) or of a Postgres error; undefined where there is none. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
