import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hideSecrets, hideSecretsInField } from '../../../src/service/log-secrets.ts';

const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const stsToken = `IQoJb3JpZ2luX2VjE${'a1B2+/'.repeat(40)}==`;

describe('what is hidden', () => {
  test.each([
    `https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIDEXAMPLE&X-Amz-Signature=${secret}&x=1`,
    `https://b.s3.amazonaws.com/k?X-Amz-Security-Token=${encodeURIComponent(secret)}`,
    `k%3FX-Amz-Signature%3D${secret}`,
    `Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/s3/aws4_request, Signature=${secret}`,
    `x-amz-security-token: ${secret}`,
    `aws_secret_access_key = ${secret}`,
    `AWS_SECRET_ACCESS_KEY="${secret}"`,
    `aws_session_token=${secret}`,
    `{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"${secret}"}`,
    JSON.stringify({ body: JSON.stringify({ SessionToken: secret }) }),
    `{ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: '${secret}' }`,
    `PGPASSWORD=${secret} psql`,
    `password='${secret} with spaces'`,
    `password="${secret}`,
    `AKIAIOSFODNN7EXAMPLE,${secret}`,
    `AKIAIOSFODNN7EXAMPLE:${secret}`,
    `Authorization: Bearer ${secret}`,
    `clientSecret=${secret}`,
    `{"refreshToken": "${secret}"}`,
    `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----`,
    `-----BEGIN PRIVATE KEY-----\n${secret}`,
  ])('%s', (text) => {
    const shown = hideSecrets(text);
    expect(shown).toContain('(hidden)');
    for (const part of [secret, encodeURIComponent(secret), secret.slice(0, 12), secret.slice(-12)]) {
      expect(shown).not.toContain(part);
    }
  });

  test('the password in a URL', () => {
    expect(hideSecrets('postgres://writer:pa55:word@db/ledger')).toBe('postgres://writer:(hidden)@db/ledger');
  });

  test('a session token of STS wherever it stands, a JSON web token, an RDS login token', () => {
    expect(hideSecrets(`got ${stsToken} from STS`)).toBe('got (hidden) from STS');
    expect(hideSecrets('eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln-nature')).toBe('(hidden)');
    const rds = 'db:5432/?Action=connect&DBUser=w&X-Amz-Credential=AKID&X-Amz-Signature=0123abcd&X-Amz-Expires=900';
    expect(hideSecrets(rds)).toBe(rds.replace('0123abcd', '(hidden)'));
  });

  test('a field that is named after a secret, whatever is in it', () => {
    expect(hideSecretsInField('secretAccessKey', 'x')).toBe('(hidden)');
    expect(hideSecretsInField('session_token', 'x')).toBe('(hidden)');
    expect(hideSecretsInField('passwordFile', '/etc/dropledger/password')).toBe('/etc/dropledger/password');
  });
});

describe('what stays', () => {
  test.each([
    'AKIAIOSFODNN7EXAMPLE',
    'The security token included in the request is expired',
    'the SSO token of profile acme ended; run aws sso login',
    'SignatureDoesNotMatch: the request signature we calculated does not match',
    'arn:aws:sts::111122223333:assumed-role/uploader/i-0abc',
    '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    'reports/2026/secret santa.xlsx',
    'https://s3.eu-west-1.amazonaws.com/bucket',
    '/etc/dropledger/tokens/readme.txt',
  ])('%s', (text) => {
    expect(hideSecrets(text)).toBe(text);
  });

  test('a secret is hidden in any surroundings', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (before, after) => {
        expect(hideSecrets(`${before} X-Amz-Signature=${secret}&${after}`)).not.toContain(secret);
      }),
    );
  });

  test('a long hostile name does not keep the process busy', () => {
    // Each of these takes minutes in a pattern that looks back or starts over: then this test times out.
    const pieces = [
      'secret',
      'token=',
      'password="',
      'Bearer ',
      '://a:',
      '-----BEGIN PRIVATE KEY-----',
      'eyJa.',
      'IQoJ',
    ];
    for (const piece of pieces) expect(hideSecrets(piece.repeat(30_000)).length).toBeGreaterThan(0);
  });
});
