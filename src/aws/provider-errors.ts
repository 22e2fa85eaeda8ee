import { CredentialsError, messageOf, ServiceUnavailable } from '../service/errors.ts';
import { type CredentialSource, describeSource, mendingOf } from './source.ts';
import type { SsoToken } from './sso-token.ts';
import type { LastExchange } from './witness.ts';

interface ServiceError {
  readonly name?: string;
  readonly statusCode?: number;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** These come with a 400, and yet they only ask to come back later. */
const throttling: ReadonlySet<string> = new Set([
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'SlowDown',
  'IDPCommunicationError',
]);

/** HTTP status of what a client of AWS threw; undefined where no answer came. */
export const statusOf = (error: unknown): number | undefined => {
  const { statusCode, $metadata } = (error ?? {}) as ServiceError;
  return statusCode ?? $metadata?.httpStatusCode;
};

/** Whether AWS answered, and with a verdict rather than a request to wait. */
export function isRefusal(error: unknown): boolean {
  const status = statusOf(error);
  if (status === undefined || throttling.has((error as ServiceError).name ?? '')) return false;
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

export interface FailedAttempt {
  readonly source: CredentialSource;
  readonly error: unknown;
  readonly lastExchange: LastExchange;
  readonly ssoToken: SsoToken | undefined;
}

/**
 * Which of three it is: `missing` and `refused` need a person (`CredentialsError`), `unreachable` only time
 * (`ServiceUnavailable`). The error's own name is not asked: no metadata service at boot and no DNS for the SSO portal
 * both come as "could not load credentials", and a refresh that failed for want of a network as "expired".
 */
export function classifyProviderError({ source, error, lastExchange, ssoToken }: FailedAttempt): Error {
  const isSso = source.kind === 'sso-session' || source.kind === 'sso-legacy';
  if (source.kind === 'ec2' && statusOf(error) === 404) return missing(source, 'no instance role is attached', error);
  if (isSso && ssoToken === undefined) return missing(source, 'there is no login', error);
  if (isRefusal(error)) return refused(source, messageOf(error), error);
  if (lastExchange === 'refused' && !throttling.has((error as ServiceError).name ?? '')) {
    return refused(source, messageOf(error), error);
  }
  if (isSso && lastExchange === 'none' && isOver(ssoToken)) return refused(source, 'the login has ended', error);
  return unreachable(source, error);
}

/** Nobody needs to be asked about a token that has ended and can't be refreshed. */
const isOver = (token: SsoToken | undefined) =>
  token !== undefined && !token.refreshable && token.expiresAt.getTime() <= Date.now();

export function missing(source: CredentialSource, why: string, cause?: unknown): CredentialsError {
  const from = source.kind === 'none' ? '' : ` from ${describeSource(source)}`;
  return new CredentialsError(`There are no AWS credentials${from}: ${why}`, { hint: mendingOf(source), cause });
}

export function refused(source: CredentialSource, why: string, cause: unknown): CredentialsError {
  return new CredentialsError(`AWS refused the credentials from ${describeSource(source)}: ${why}`, {
    hint: mendingOf(source),
    cause,
  });
}

function unreachable(source: CredentialSource, cause: unknown): ServiceUnavailable {
  return new ServiceUnavailable('credentials', `No credentials from ${describeSource(source)}: ${messageOf(cause)}`, {
    hint: 'They are asked for again; if this goes on, check the network, or look at that source by hand.',
    cause,
  });
}
