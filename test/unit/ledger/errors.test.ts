import { describe, expect, test } from 'vitest';
import { type LedgerTarget, ledgerError, RowRefused } from '../../../src/ledger/errors.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../../src/service/errors.ts';

const target: LedgerTarget = {
  ...{ host: 'ledger.abc.eu-central-1.rds.amazonaws.com', port: 5432, database: 'records', user: 'dropledger_writer' },
  ...{ region: 'eu-central-1', auth: 'iam', passwordFile: undefined, caFile: undefined },
};
const coded = (code: string, message = 'it said') => Object.assign(new Error(message), { code });
const kindOf = (error: unknown) => ledgerError(error, target).constructor;

describe('each error becomes the kind that tells who can mend it', () => {
  test.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EPERM', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', '08006'])(
    '%s: the ledger is unreachable',
    (code) => {
      expect(ledgerError(coded(code), target)).toMatchObject({ name: 'ServiceUnavailable', answered: false });
    },
  );

  test.each(['53300', '53100', '57P01', '57P03', '57014', '55P03', '40P01', '58030', 'XX000', '25006'])(
    '%s: it answers that it can not now',
    (code) => {
      expect(ledgerError(coded(code), target)).toMatchObject({ name: 'ServiceUnavailable', answered: true });
    },
  );

  test.each(['28000', '28P01'])('%s: a person must look at the login', (code) => {
    expect(kindOf(coded(code))).toBe(CredentialsError);
  });

  test.each(['3D000', '42501', '42P01', '3F000', '42703', 'SELF_SIGNED_CERT_IN_CHAIN', 'CERT_HAS_EXPIRED'])(
    '%s: a person must look at the configuration',
    (code) => {
      const error = ledgerError(coded(code), target);
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.hint).toBeTruthy();
    },
  );

  test.each(['22P02', '22P05', '22003', '23502', '23514', '54000'])('%s: this row is at fault', (code) => {
    expect(kindOf(coded(code))).toBe(RowRefused);
  });

  test('errors without a code', () => {
    expect(kindOf(new Error('Connection terminated unexpectedly'))).toBe(ServiceUnavailable);
    expect(kindOf(new Error('timeout exceeded when trying to connect'))).toBe(ServiceUnavailable);
    expect(kindOf(new Error('The server does not support SSL connections'))).toBe(ConfigError);
    expect(kindOf(new Error('something nobody thought of'))).toBe(ServiceUnavailable);
  });
});

test('what has a kind already stays as it is', () => {
  const error = new ServiceUnavailable('credentials', 'not now');
  expect(ledgerError(error, target)).toBe(error);
});

test('the cause is kept, and the message names server and answer in one line', () => {
  const cause = new AggregateError([coded('ECONNREFUSED', 'connect ECONNREFUSED ::1:5432')]);
  const error = ledgerError(Object.assign(cause, { code: 'ECONNREFUSED' }), target);
  expect(error.cause).toBe(cause);
  expect(error.message).toBe(
    "the ledger at ledger.abc.eu-central-1.rds.amazonaws.com:5432 can't be reached: connect ECONNREFUSED ::1:5432",
  );
});

test('the alias hint is only for hosts that are none of RDS', () => {
  const hint = (host: string) => ledgerError(coded('28000'), { ...target, host }).hint;
  expect(hint(target.host)).not.toContain('alias');
  expect(hint('ledger.example.com')).toContain('alias');
});
