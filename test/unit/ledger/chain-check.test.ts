import { expect, test } from 'vitest';
import { createChainCheck } from '../../../src/ledger/chain-check.ts';
import { rowHash } from '../../../src/ledger/row-hash.ts';
import type { LedgerRow } from '../../../src/model.ts';
import { sampleChain, sampleRow } from '../../support/ledger-rows.ts';

function check(rows: readonly LedgerRow[], fromStart = true) {
  const chainCheck = createChainCheck({ fromStart });
  for (const row of rows) chainCheck.add(row);
  return chainCheck.report();
}

const found = (rows: readonly LedgerRow[]) =>
  check(rows).findings.map(({ kind, seq, lastSeq }) => [kind, seq, lastSeq]);

const altered = (row: LedgerRow, changes: Partial<LedgerRow>) => ({ ...row, ...changes });
const rehashed = ({ row_hash, ...row }: LedgerRow, changes: Partial<LedgerRow>) => {
  const changed = { ...row, ...changes };
  return { ...changed, row_hash: rowHash(changed) };
};

test('a chain is whole, and its head is told', () => {
  const rows = sampleChain(5, () => ({ host: 'scanner-7' }));
  expect(check(rows)).toEqual({
    rows: 5,
    chains: [
      {
        ...{ chain: rows[0]?.chain, host: 'scanner-7', instance: 'default' },
        ...{ rows: 5, firstSeq: 1, lastSeq: 5, head: rows[4]?.row_hash },
      },
    ],
    findingCount: 0,
    findings: [],
  });
});

test('the order in which rows come does not matter', () => {
  const rows = [...sampleChain(20), ...sampleChain(20)];
  for (let round = 0; round < 20; round += 1) {
    const shuffled = rows.map((row) => ({ row, at: Math.random() })).sort((a, b) => a.at - b.at);
    expect(found(shuffled.map(({ row }) => row))).toEqual([]);
  }
});

test('each kind of tampering is named, with its place', () => {
  const rows = sampleChain(6);
  const [, , third, fourth] = rows as [LedgerRow, LedgerRow, LedgerRow, LedgerRow];
  const replaced = (place: number, row: LedgerRow) => rows.map((one, index) => (index === place ? row : one));
  expect(found(replaced(2, altered(third, { size_bytes: 1 })))).toEqual([['altered', 3, 3]]);
  expect(found(replaced(2, rehashed(third, { size_bytes: 1 })))).toEqual([['broken', 4, 4]]);
  expect(found(rows.filter((_, index) => index !== 2 && index !== 3))).toEqual([['gap', 3, 4]]);
  expect(found([...rows, rehashed(third, { path: 'slipped in' })])).toEqual([['fork', 3, 3]]);
  expect(found(replaced(2, rehashed(third, { previous_hash: fourth.row_hash })))).toContainEqual(['broken', 3, 3]);
  expect(found(rows.slice(2))).toEqual([['gap', 1, 2]]);
  expect(found([sampleRow({ seq: 1, previous_hash: 'ab'.repeat(32) })])).toEqual([['broken', 1, 1]]);
});

test('rows from some time on are a part of a chain', () => {
  expect(check(sampleChain(6).slice(2), false)).toMatchObject({
    findingCount: 0,
    chains: [{ firstSeq: 3, lastSeq: 6 }],
  });
});

test('findings are counted even where they are too many to keep', () => {
  const chainCheck = createChainCheck({ fromStart: true, keepFindings: 2 });
  for (const row of sampleChain(5)) chainCheck.add({ ...row, path: 'other' });
  expect(chainCheck.report()).toMatchObject({ findingCount: 5, findings: [{ seq: 1 }, { seq: 2 }] });
});
