import type { AwsCredentialIdentityProvider } from '@smithy/types';
import type { EventLog } from '../model.ts';
import { type ExchangeAnswer, ExchangeFailed, encodeUriSegment } from '../service/http-exchange.ts';
import type { Network } from '../service/network.ts';
import type { Pace } from './bandwidth.ts';
import type { PutOptions, SizedBody } from './calls.ts';
import type { BucketEndpoint } from './endpoint.ts';
import { S3Failure } from './failure.ts';
import { createRequestSigner, type UnsignedRequest } from './request-signer.ts';
import { elementText, hasElement } from './xml.ts';

export interface SignedSenderOptions {
  readonly endpoint: BucketEndpoint;
  /** Asked with `forceRefresh` once S3 says that what it gave has expired. */
  readonly credentials: AwsCredentialIdentityProvider;
  readonly network: Network;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Awaited before each piece of a body is sent. */
  readonly pace?: Pace | undefined;
  readonly log: EventLog;
}

export interface SignedRequest extends UnsignedRequest {
  readonly body?: SizedBody['body'] | string;
  readonly answerMs?: number;
}

/** Gives the answer of a 2xx that is no error document. Throws `S3Failure`, or the reason of the signal. */
export type SignedSender = (request: SignedRequest, options: PutOptions) => Promise<ExchangeAnswer>;

const tokenHeader = 'x-amz-security-token';

/** From here on people should know. */
const clockToleranceMs = 5 * 60_000;

/**
 * Signs requests and sends them with nothing between. What AWS's client does about a wrong clock and expired credentials
 * is done here as well: both are refusals, so sending again is safe.
 */
export function createSignedSender(options: SignedSenderOptions): SignedSender {
  const { endpoint, credentials, network, pace, log } = options;
  const signer = createRequestSigner(endpoint, credentials);

  async function sendSigned(
    { method, body, answerMs, ...request }: SignedRequest,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<ExchangeAnswer> {
    try {
      const answer = await network.exchange({
        origin: endpoint.origin,
        path: pathAndQuery(request),
        method,
        headers,
        ...(body === undefined ? {} : { body: typeof body === 'function' ? body() : body }),
        ...(answerMs === undefined ? {} : { answerMs: Math.max(answerMs, network.stallMs) }),
        signal,
        pace,
      });
      if (answer.status >= 200 && answer.status < 300 && !hasElement(answer.body, 'Error')) return answer;
      throw answeredFailure(answer);
    } catch (error) {
      if (!(error instanceof ExchangeFailed)) throw error;
      const { code, message, mayHaveArrived } = error;
      throw new S3Failure({ code, message, mayHaveArrived, cause: error });
    }
  }

  const signed = (request: SignedRequest) =>
    signer.sign({ ...request, headers: { ...options.headers, ...request.headers } });

  /** Whether the cause of this refusal is now gone. `usedToken` is the session token that was refused. */
  async function isMended({ code, clockAheadMs }: S3Failure, usedToken: string | undefined): Promise<boolean> {
    if (code === 'RequestTimeTooSkewed' && clockAheadMs !== undefined) {
      signer.correctClock(clockAheadMs);
      const minutes = Math.round(clockAheadMs / 60_000);
      if (Math.abs(clockAheadMs) > clockToleranceMs) {
        log.warning('warning', { minutes_fast: minutes, hint: 'timedatectl set-ntp true' }, 'the clock is wrong');
      }
      return true;
    }
    if (code !== 'ExpiredToken' && code !== 'ExpiredTokenException') return false;
    // another request may have had them renewed by now
    if ((await credentials()).sessionToken !== usedToken) return true;
    return (await credentials({ forceRefresh: true })).sessionToken !== usedToken;
  }

  return async (request, { signal, turn }) => {
    const headers = await signed(request);
    using _turn = await turn?.();
    try {
      return await sendSigned(request, headers, signal);
    } catch (error) {
      if (!(error instanceof S3Failure && (await isMended(error, headers[tokenHeader])))) throw error;
      return await sendSigned(request, await signed(request), signal);
    }
  };
}

function pathAndQuery({ path, query }: Pick<UnsignedRequest, 'path' | 'query'>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${name}=${encodeUriSegment(value)}`);
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/** S3's error document, at whatever status (Complete sends one with 200), as a failure. */
function answeredFailure({ status, headers, body }: ExchangeAnswer): S3Failure {
  const code = elementText(body, 'Code') ?? (status === 412 ? 'PreconditionFailed' : `HTTP ${status}`);
  const serverTime = Date.parse(elementText(body, 'ServerTime') ?? headers['date'] ?? '');
  return new S3Failure({
    code,
    message: elementText(body, 'Message') ?? '',
    // an error document behind a 200 is the failure of an act that S3 had begun
    status: status < 300 ? 500 : status,
    requestId: headers['x-amz-request-id'] ?? elementText(body, 'RequestId'),
    region: headers['x-amz-bucket-region'] ?? elementText(body, 'Region'),
    clockAheadMs: Number.isNaN(serverTime) ? undefined : Date.now() - serverTime,
  });
}
