import { isCertificateFailure } from '../service/http-exchange.ts';

/** One request to S3 that did not succeed, in S3's own terms. `errors.ts` says what it means for the operator. */
export class S3Failure extends Error {
  /** S3's error code; without an answer Node's or undici's (`ECONNRESET`, `STALLED`…). */
  readonly code: string;
  /** HTTP status; undefined where no answer came. */
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  /** The region that S3 says the bucket is in. */
  readonly region: string | undefined;
  /** How far this machine's clock is ahead of the server's, where the answer told. */
  readonly clockAheadMs: number | undefined;
  /** The request may have been carried out all the same: nobody said that it was not. */
  readonly mayHaveHappened: boolean;

  constructor(facts: {
    readonly code: string;
    readonly message: string;
    readonly status?: number | undefined;
    readonly requestId?: string | undefined;
    readonly region?: string | undefined;
    readonly clockAheadMs?: number | undefined;
    /** For a failure without an answer: whether the whole request may have arrived. */
    readonly mayHaveArrived?: boolean;
    readonly cause?: unknown;
  }) {
    super(facts.message || facts.code, { cause: facts.cause });
    this.name = 'S3Failure';
    this.code = facts.code;
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.region = facts.region;
    this.clockAheadMs = facts.clockAheadMs;
    this.mayHaveHappened =
      facts.status === undefined ? (facts.mayHaveArrived ?? true) : !isRefusal(facts.status, facts.code);
  }

  get answered(): boolean {
    return this.status !== undefined;
  }
}

/** S3's ways to say "not now", before anything was done. */
const throttled: ReadonlySet<string> = new Set([
  'SlowDown',
  'ServiceUnavailable',
  'RequestLimitExceeded',
  'Throttling',
]);

/** S3 turned the request down. Other 5xx may come from a proxy, or from S3 after it did the work. */
const isRefusal = (status: number, code: string) => (status >= 400 && status < 500) || throttled.has(code);

const retryable: ReadonlySet<string> = new Set([
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'IncompleteBody',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'OperationAborted',
  'ConditionalRequestConflict',
  'TooManyRequests',
]);

/** Whether the same request may succeed in a moment. */
export const isWorthAnotherTry = (failure: S3Failure): boolean =>
  failure.status === undefined
    ? !isCertificateFailure(failure.code)
    : (failure.status >= 500 && failure.status !== 501) || failure.status === 429 || retryable.has(failure.code);

export const isKeyTaken = (failure: S3Failure): boolean =>
  failure.status === 412 || failure.code === 'PreconditionFailed';

export const isUnknownUpload = (failure: S3Failure): boolean => failure.code === 'NoSuchUpload';

export const isWriteRace = (failure: S3Failure): boolean => failure.code === 'ConditionalRequestConflict';
