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
 * When it settles the request is over: its connection is idle or destroyed. (Dispatched without undici's `request`,
 * whose streams cost a small request more than all else of it.)
 */
export async function exchange(connections: () => Dispatcher, request: ExchangeRequest): Promise<ExchangeAnswer> {
  const { signal } = request;
  const { promise, resolve, reject } = Promise.withResolvers<ExchangeAnswer>();
  let running: Dispatcher.DispatchController | undefined;
  let abortedBy: { readonly reason: Error } | undefined;
  const outgoing = outgoingOf(request, (reason) => {
    abortedBy ??= { reason };
    running?.abort(reason);
  });
  let status = 0;
  let headers: ExchangeAnswer['headers'] = {};
  const chunks: Buffer[] = [];
  try {
    await outgoing.begin();
    connections().dispatch(outgoing.options, {
      onRequestStart(controller) {
        running = controller;
        if (abortedBy !== undefined) controller.abort(abortedBy.reason);
      },
      onResponseStart(_controller, statusCode, fields) {
        if (statusCode < 200) return;
        status = statusCode;
        headers = fields as ExchangeAnswer['headers'];
        outgoing.watch.answered();
      },
      onResponseData: (_controller, chunk) => void chunks.push(chunk),
      onResponseEnd: () => resolve({ status, headers, body: Buffer.concat(chunks).toString() }),
      onResponseError: (_controller, error) => reject(error),
    });
    return await promise;
  } catch (cause) {
    signal?.throwIfAborted();
    throw failureOf(cause, outgoing.isSent());
  } finally {
    outgoing.watch.end();
  }
}

/** The same up to the answer's headers: its body is a stream that the caller reads to its end or destroys. */
export async function startExchange(
  connections: () => Dispatcher,
  request: ExchangeRequest,
): Promise<Dispatcher.ResponseData> {
  const controller = new AbortController();
  const outgoing = outgoingOf(request, (reason) => controller.abort(reason));
  try {
    await outgoing.begin();
    const answer = await connections().request({ ...outgoing.options, signal: controller.signal });
    answer.body.once('close', outgoing.watch.end);
    outgoing.watch.answered();
    return answer;
  } catch (cause) {
    outgoing.watch.end();
    request.signal?.throwIfAborted();
    throw failureOf(cause, outgoing.isSent());
  }
}

/** A request as undici takes it, watched for progress. `abort` is told once it makes none, or the signal aborts. */
function outgoingOf(
  { origin, path, method, headers, body, signal, stallMs = 60_000, answerMs = stallMs, pace }: ExchangeRequest,
  abort: (reason: Error) => void,
) {
  signal?.throwIfAborted();
  const watch = watchProgress(stallMs, signal, abort);
  const pieces = body === undefined ? undefined : piecesOf(body);
  let sent = !isIterable(pieces);
  const paced = async (bytes: number) => {
    if (pace) await watch.paused(pace(bytes, signal ?? neverAborted));
  };

  async function* supervised(all: AsyncIterable<Uint8Array>) {
    for await (const piece of all) {
      await paced(piece.byteLength);
      watch.progress(stallMs);
      yield piece;
    }
    sent = true;
    watch.progress(answerMs);
  }

  const options: Dispatcher.DispatchOptions = {
    origin,
    path,
    method: method as Dispatcher.HttpMethod,
    headers: headers as Record<string, string>,
    // undici takes any iterable of bytes; its types know streams alone
    ...(pieces === undefined ? {} : { body: (isIterable(pieces) ? supervised(pieces) : pieces) as Buffer }),
    headersTimeout: 0,
    bodyTimeout: answerMs,
  };
  return {
    options,
    watch,
    /** Awaited before it is sent. */
    async begin(): Promise<void> {
      if (isIterable(pieces)) return;
      if (pieces) await paced(Buffer.byteLength(pieces));
      watch.progress(answerMs);
    },
    /** Whether all of it may have left. */
    isSent: () => sent,
  };
}

const neverAborted = new AbortController().signal;

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

/** Aborts when `progress` was not told for too long, or when the signal aborts. */
function watchProgress(stallMs: number, signal: AbortSignal | undefined, abort: (reason: Error) => void) {
  let withinMs = stallMs;
  let watching = true;
  const stalled = () => abort(Object.assign(new Error(`no progress for ${withinMs / 1000} s`), { code: 'STALLED' }));
  let timer = setTimeout(stalled, withinMs);
  const aborted = () => abort(signal?.reason);
  signal?.addEventListener('abort', aborted);
  return {
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
      signal?.removeEventListener('abort', aborted);
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
