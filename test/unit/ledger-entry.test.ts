import { expect, test } from 'vitest';
import { columnNames } from '../../src/ledger/columns.ts';
import { duplicateRow, failedRow, uploadedRow } from '../../src/ledger-entry.ts';
import type { StoredObject } from '../../src/model.ts';
import { identityOf, openTestJournal, queued, settledFile } from '../support/test-journal.ts';

const object: StoredObject = {
  bucket: 'records',
  key: 'in/file.pdf',
  sha256: 'abc',
  etag: '"etag"',
  versionId: 'v1',
  requestId: 'request',
  checksumType: 'CRC32',
  checksum: 'AAAAAA==',
  partCount: 3,
};

async function facts(identity = identityOf()) {
  await using parts = await openTestJournal();
  await parts.journal().files.settled([settledFile('file.pdf', identity)]);
  const origin = {
    host: 'scanner',
    instance: 'default',
    bucket: 'records',
    daemonVersion: '1.2.3',
    principal: () => 'arn',
  };
  return { origin, file: queued(parts.journal(), 'file.pdf'), owner: 'alice', startedAt: new Date() };
}

test('each kind of row has every column that the file itself can fill, and no other', async () => {
  const chained = ['id', 'chain', 'seq', 'previous_hash', 'row_hash'];
  const expected = columnNames.filter((name) => !chained.includes(name)).sort();
  const same = { key: 'in/file.pdf', sha256: 'abc', of: 'earlier' };
  for (const row of [
    uploadedRow(await facts(), object, 'application/pdf', new Date()),
    duplicateRow(await facts(), same),
    failedRow(await facts(), 'too long'),
  ]) {
    expect(Object.keys(row).sort()).toEqual(expected);
  }
});

test.each([
  ['far in the future', 99_999_999_999_999_000_000_000n],
  ['before the year 1', -99_999_999_999_999_000_000_000n],
  ['in the year 12026', 317_359_000_000_000_000_000n],
])('an mtime %s gives a time that Postgres takes', async (_when, mtimeNs) => {
  const row = failedRow(await facts({ ...identityOf(), mtimeNs }), 'x');
  expect(row.modified_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('an mtime is told to the millisecond', async () => {
  const row = failedRow(await facts({ ...identityOf(), mtimeNs: 1_700_000_000_123_999_999n }), 'x');
  expect(row.modified_at).toBe('2023-11-14T22:13:20.123Z');
});
