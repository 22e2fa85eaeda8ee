import type { Dispatcher } from 'undici';
import { codeOf, messageOf } from './errors.ts';

export interface ExchangeRequest {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query, encoded as they are to be sent: nothing is normalised. */
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** An iterable must yield exactly `content-length` bytes, and is not used again. */
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
  /** No progress for this long, in either direction, is a failure. */
  readonly stallMs?: number;
  /** How long the answer may take once the request is sent, where that is longer than `stallMs`. */
  readonly answerMs?: number;
  /** Awaited before each piece of the body is sent: the bandwidth limit. */
  readonly pace?: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined;
}

export interface ExchangeAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

export type Exchange = (request: ExchangeRequest) => Promise<ExchangeAnswer>;

/** No answer came. `code` is Node's or undici's (`ECONNRESET`, `ENOTFOUND`, a certificate's…) or `STALLED`. */
export class ExchangeFailed extends Error {
  readonly code: string;
  /** The whole request may have reached the server, so it may have been carried out. */
  readonly mayHaveArrived: boolean;

  constructor(code: string, message: string, { mayHaveArrived, cause }: { mayHaveArrived: boolean; cause?: unknown }) {
    super(message, { cause });
    this.name = 'ExchangeFailed';
    this.code = code;
    this.mayHaveArrived = mayHaveArrived;
  }
}

/** A piece is written when the one before it has left: small enough to notice a stall, large enough to cost nothing. */
const pieceBytes = 128 * 1024;

/** What fails before a byte of the request is sent. */
const connectFailures: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_PRX_TLS',
]);

/**
 * One HTTP request and its whole answer, never repeated. Throws `ExchangeFailed`, or the reason of the signal.
 * When it settles the request is over: its connection is idle or destroyed.
 */
export async function exchange(dispatcher: Dispatcher, request: ExchangeRequest): Promise<ExchangeAnswer> {
  const answer = await startExchange(dispatcher, request);
  try {
    const body = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers as Record<string, string | undefined>, body };
  } catch (cause) {
    request.signal?.throwIfAborted();
    throw failureOf(cause, true);
  }
}

/** The same up to the answer's headers: its body is a stream that the caller reads to its end or destroys. */
export async function startExchange(
  dispatcher: Dispatcher,
  { origin, path, method, headers, body, signal, stallMs = 60_000, answerMs = stallMs, pace }: ExchangeRequest,
): Promise<Dispatcher.ResponseData> {
  signal?.throwIfAborted();
  const watch = watchProgress(stallMs, signal);
  const pieces = body === undefined ? undefined : piecesOf(body);
  let sent = !isIterable(pieces);

  async function* supervised(all: AsyncIterable<Uint8Array>) {
    for await (const piece of all) {
      if (pace) await watch.paused(pace(piece.byteLength, watch.signal));
      watch.progress(stallMs);
      yield piece;
    }
    sent = true;
    watch.progress(answerMs);
  }

  try {
    if (!isIterable(pieces)) {
      if (pace && pieces) await watch.paused(pace(Buffer.byteLength(pieces), watch.signal));
      watch.progress(answerMs);
    }
    const answer = await dispatcher.request({
      origin,
      path,
      method: method as Dispatcher.HttpMethod,
      headers: headers as Record<string, string>,
      // undici takes any iterable of bytes; its types know streams alone
      ...(pieces === undefined ? {} : { body: (isIterable(pieces) ? supervised(pieces) : pieces) as Buffer }),
      signal: watch.signal,
      headersTimeout: 0,
      bodyTimeout: answerMs,
    });
    answer.body.once('close', watch.end);
    watch.answered();
    return answer;
  } catch (cause) {
    watch.end();
    signal?.throwIfAborted();
    throw failureOf(cause, sent);
  }
}

const isIterable = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body;

/** A large buffer goes in pieces, a small one as it is. */
function piecesOf(body: NonNullable<ExchangeRequest['body']>): Buffer | string | AsyncIterable<Uint8Array> {
  if (typeof body === 'string') return body;
  if (!(body instanceof Uint8Array)) return body;
  if (body.byteLength > pieceBytes) return slices(body);
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

async function* slices(body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.byteLength; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
}

/** Aborts its own signal when `progress` was not told for too long, or when the outer signal aborts. */
function watchProgress(stallMs: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  let withinMs = stallMs;
  let watching = true;
  const stalled = () =>
    controller.abort(Object.assign(new Error(`no progress for ${withinMs / 1000} s`), { code: 'STALLED' }));
  let timer = setTimeout(stalled, withinMs);
  const aborted = () => controller.abort(outer?.reason);
  outer?.addEventListener('abort', aborted);
  return {
    signal: controller.signal,
    progress(nextWithinMs: number) {
      if (!watching) return;
      if (nextWithinMs === withinMs) return void timer.refresh();
      clearTimeout(timer);
      withinMs = nextWithinMs;
      timer = setTimeout(stalled, withinMs);
    },
    /** Waiting for our own bandwidth limit is no stall. */
    async paused(wait: Promise<void>) {
      clearTimeout(timer);
      await wait;
      if (watching) timer = setTimeout(stalled, withinMs);
    },
    /** From here on undici's `bodyTimeout` watches. */
    answered() {
      watching = false;
      clearTimeout(timer);
    },
    end() {
      watching = false;
      clearTimeout(timer);
      outer?.removeEventListener('abort', aborted);
    },
  };
}

function failureOf(cause: unknown, sent: boolean): ExchangeFailed {
  // A host with several addresses fails with all of them: the first says why.
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  const code = codeOf(first) ?? (first instanceof Error ? first.name : 'UNKNOWN');
  const beforeSending = connectFailures.has(code) || isCertificateFailure(code);
  return new ExchangeFailed(code, messageOf(first), { mayHaveArrived: sent && !beforeSending, cause });
}

/** OpenSSL's verdicts on a certificate, as Node names them. */
export const isCertificateFailure = (code: string): boolean =>
  /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT|ERR_SSL_|ERR_TLS_)/.test(code);

/** As RFC 3986 has it, which AWS's signatures follow: `encodeURIComponent` leaves five characters too many. */
export const encodeUriSegment = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
