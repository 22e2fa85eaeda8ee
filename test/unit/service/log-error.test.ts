import { expect, test } from 'vitest';
import { CredentialsError, ServiceUnavailable } from '../../../src/service/errors.ts';
import { describeError, errorFields } from '../../../src/service/log-error.ts';

test('the messages of the whole chain are one line, each once', () => {
  const refused = new Error('connect ECONNREFUSED\n10.0.0.1:443');
  const wrapped = new Error('fetch failed: connect ECONNREFUSED 10.0.0.1:443', { cause: refused });
  expect(describeError(new ServiceUnavailable('s3', "S3 can't be reached", { cause: wrapped }))).toBe(
    "S3 can't be reached: fetch failed: connect ECONNREFUSED 10.0.0.1:443",
  );
});

test('the hint is that of the outermost error that has one', () => {
  const inner = new CredentialsError('the session ended', { hint: 'run aws sso login' });
  expect(errorFields(new Error('stopped', { cause: inner }))).toEqual({
    error: 'stopped: the session ended',
    hint: 'run aws sso login',
  });
  expect(errorFields('just text')).toEqual({ error: 'just text', hint: undefined });
});

test('a failed connect to several addresses names them; what a `using` block suppressed comes first', () => {
  const addresses = new AggregateError([
    new Error('connect ECONNREFUSED ::1'),
    new Error('connect ECONNREFUSED 127.0.0.1'),
  ]);
  expect(describeError(addresses)).toBe('connect ECONNREFUSED ::1: connect ECONNREFUSED 127.0.0.1');
  expect(describeError(new SuppressedError(new Error('close failed'), new Error('the disk is full')))).toBe(
    'the disk is full: close failed',
  );
});

test('a circle of causes ends', () => {
  const error = new Error('one');
  error.cause = new Error('two', { cause: error });
  expect(describeError(error)).toBe('one: two');
});
