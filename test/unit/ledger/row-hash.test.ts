import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { rowHash } from '../../../src/ledger/row-hash.ts';
import type { LedgerRow } from '../../../src/model.ts';
import { sampleRow } from '../../support/ledger-rows.ts';

const { row_hash: _, ...row } = sampleRow({
  ...{ id: '01980000-0000-7000-8000-000000000001', file_id: '01980000-0000-7000-8000-000000000002' },
  ...{ chain: '01980000-0000-4000-8000-000000000003', sha256: 'ab'.repeat(32), path: 'é' },
});

test('the canonical form is what the documentation says', () => {
  const canonical = [
    'dropledger-row-1',
    '36:01980000-0000-7000-8000-000000000001',
    '36:01980000-0000-7000-8000-000000000002',
    '9:scanner-1',
    '7:default',
    '2:é',
    '5:48213',
    `64:${'ab'.repeat(32)}`,
    '24:2026-03-31T16:00:00.250Z',
    '5:alice',
    '15:application/pdf',
    '7:records',
    '29:scans/invoices/2026/march.pdf',
    '-',
    '34:"9a0364b9e99bb480dd25e1f0284c8555"',
    '16:ABCDEF0123456789',
    '5:CRC32',
    '8:NhCmhg==',
    '1:1',
    '8:uploaded',
    '-',
    '-',
    '1:1',
    '24:2026-03-31T16:00:01.000Z',
    '24:2026-03-31T16:00:03.001Z',
    '24:2026-03-31T16:00:03.120Z',
    '41:arn:aws:iam::123456789012:role/dropledger',
    '5:0.1.0',
    '36:01980000-0000-4000-8000-000000000003',
    '1:1',
    '-',
  ].join('');
  expect(rowHash(row)).toBe(createHash('sha256').update(canonical).digest('hex'));
});

test('every column counts, and a null is not an empty text', () => {
  const hashes = new Set([rowHash(row)]);
  for (const name of Object.keys(row) as (keyof typeof row)[]) {
    hashes.add(rowHash({ ...row, [name]: 'other' } as Omit<LedgerRow, 'row_hash'>));
    hashes.add(rowHash({ ...row, [name]: '' } as Omit<LedgerRow, 'row_hash'>));
  }
  expect(hashes.size).toBe(1 + 2 * Object.keys(row).length);
});

test('a value can not be moved from one column to the next', () => {
  expect(rowHash({ ...row, host: 'a', instance: '1:b' })).not.toBe(rowHash({ ...row, host: 'a1:b', instance: '' }));
});
