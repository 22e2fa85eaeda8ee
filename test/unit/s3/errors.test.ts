import { describe, expect, it } from 'vitest';
import { classifyS3Failure } from '../../../src/s3/errors.ts';
import { isWorthAnotherTry, S3Failure } from '../../../src/s3/failure.ts';
import {
  ConfigError,
  CredentialsError,
  type DropledgerError,
  FileRejected,
  ServiceUnavailable,
} from '../../../src/service/errors.ts';

const answered = (status: number, code: string, more: object = {}) =>
  new S3Failure({ status, code, message: 'S3’s words', requestId: 'REQ', ...more });
const lost = (code: string, mayHaveArrived = true) => new S3Failure({ code, message: 'gone', mayHaveArrived });

describe('a failure of S3 means', () => {
  it.each([
    [403, 'AccessDenied', CredentialsError],
    [403, 'InvalidAccessKeyId', CredentialsError],
    [403, 'SignatureDoesNotMatch', CredentialsError],
    [400, 'ExpiredToken', CredentialsError],
    [400, 'InvalidToken', CredentialsError],
    [403, 'SomethingNew', CredentialsError],
    [403, 'RequestTimeTooSkewed', ServiceUnavailable],
    [404, 'NoSuchBucket', ConfigError],
    [301, 'PermanentRedirect', ConfigError],
    [400, 'AuthorizationHeaderMalformed', ConfigError],
    [501, 'NotImplemented', ConfigError],
    [400, 'KMS.NotFoundException', ConfigError],
    [400, 'KeyTooLongError', FileRejected],
    [400, 'EntityTooLarge', FileRejected],
    [403, 'QuotaExceeded', ServiceUnavailable],
    [507, 'HTTP 507', ServiceUnavailable],
    [503, 'SlowDown', ServiceUnavailable],
    [500, 'InternalError', ServiceUnavailable],
    [502, 'HTTP 502', ServiceUnavailable],
    [400, 'SomethingNew', ServiceUnavailable],
  ] as const)('%i %s', (status, code, kind) => {
    const error = classifyS3Failure(answered(status, code)) as DropledgerError;
    expect(error).toBeInstanceOf(kind);
    expect(error.hint).toEqual(expect.any(String));
    expect(error.cause).toBeInstanceOf(S3Failure);
  });

  it.each(['ECONNRESET', 'ENOTFOUND', 'STALLED', 'UND_ERR_CONNECT_TIMEOUT', 'CERT_HAS_EXPIRED'])(
    'no answer: %s',
    (code) => {
      const error = classifyS3Failure(lost(code));
      expect(error).toBeInstanceOf(ServiceUnavailable);
      expect(error).toMatchObject({ answered: false, hint: expect.any(String) });
    },
  );

  it.each([
    ['CERT_HAS_EXPIRED', 'clock'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 's3.endpoint'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'AWS_CA_BUNDLE'],
  ])('a certificate that is wrong (%s), each with its cure', (code, cure) => {
    expect(classifyS3Failure(lost(code))).toMatchObject({ hint: expect.stringContaining(cure) });
  });

  it('how wrong the clock is', () => {
    const error = classifyS3Failure(answered(403, 'RequestTimeTooSkewed', { clockAheadMs: -3_600_000 })) as Error;
    expect(error.message).toContain('60 minutes slow');
  });

  it('which region the bucket is in', () => {
    const error = classifyS3Failure(answered(301, 'PermanentRedirect', { region: 'eu-west-1' }));
    expect(error).toMatchObject({ hint: expect.stringContaining('eu-west-1') });
  });

  it('which bucket is missing', () => {
    const error = classifyS3Failure(answered(404, 'NoSuchBucket'), 'invoices') as Error;
    expect(error.message).toMatch(/^There is no bucket invoices: S3 answered 404 NoSuchBucket/);
  });

  it('nothing for what is no failure of S3', () => {
    const other = new Error('other');
    expect(classifyS3Failure(other)).toBe(other);
  });

  it('nothing secret', () => {
    const message = 'X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024 is wrong';
    const error = classifyS3Failure(answered(403, 'SignatureDoesNotMatch', { message })) as Error;
    expect(error.message).not.toContain('fe5f80f77d5f');
  });
});

describe('whether it may have happened all the same', () => {
  it.each([
    ['an answer that says no', answered(412, 'PreconditionFailed'), false],
    ['S3 asking to slow down', answered(503, 'SlowDown'), false],
    ['an internal error', answered(500, 'InternalError'), true],
    ['a gateway in between', answered(504, 'HTTP 504'), true],
    ['a connection that broke', lost('ECONNRESET'), true],
    ['a request that never left', lost('ECONNREFUSED', false), false],
  ])('%s', (_, failure, expected) => {
    expect(failure.mayHaveHappened).toBe(expected);
  });
});

describe('whether another try may help', () => {
  it.each([
    [answered(503, 'SlowDown'), true],
    [answered(400, 'RequestTimeout'), true],
    [answered(409, 'ConditionalRequestConflict'), true],
    [lost('ECONNRESET'), true],
    [lost('DEPTH_ZERO_SELF_SIGNED_CERT', false), false],
    [answered(412, 'PreconditionFailed'), false],
    [answered(501, 'NotImplemented'), false],
    [answered(403, 'AccessDenied'), false],
  ])('%o', (failure, expected) => {
    expect(isWorthAnotherTry(failure)).toBe(expected);
  });
});
