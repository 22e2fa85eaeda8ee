import { expect, test } from 'vitest';
import { rowHash } from '../../../src/ledger/row-hash.ts';
import type { LedgerRow } from '../../../src/model.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import {
  identityOf,
  openTestJournal,
  queued,
  queueOf,
  recordAll,
  settledFile,
  sha256Of,
  storedOutcome,
  testBucket,
} from '../../support/test-journal.ts';

test('rows wait in order, chained without a gap, across restarts', async () => {
  await using parts = await openTestJournal();
  for (const path of ['a', 'b', 'c']) {
    const journal = await parts.reopen();
    await journal.files.settled([settledFile(path)]);
    await journal.outbox.enqueue(storedOutcome(queued(journal, path)), new Date());
  }
  const rows = parts
    .journal()
    .outbox.store.next(10)
    .map(({ json }) => JSON.parse(json) as LedgerRow);
  expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(new Set(rows.map(({ chain }) => chain)).size).toBe(1);
  expect(rows.map(({ previous_hash }) => previous_hash)).toEqual([null, rows[0]?.row_hash, rows[1]?.row_hash]);
  for (const { row_hash, ...row } of rows) expect(rowHash(row)).toBe(row_hash);
  expect(parts.journal().outbox.head()).toBe(rows[2]?.row_hash);
});

test('what was recorded is sent no more; the rest is counted, also after a restart', async () => {
  await using parts = await openTestJournal();
  const journal = parts.journal();
  await journal.files.settled(['a', 'b', 'c'].map((path) => settledFile(path)));
  for (const file of queueOf(journal)) await journal.outbox.enqueue(storedOutcome(file), new Date());
  expect(journal.outbox.counts()).toEqual({ waiting: 3, setAside: 0 });
  const [first, second] = journal.outbox.store.next(2);
  await journal.outbox.store.recorded(first === undefined ? [] : [first]);
  if (second !== undefined) await journal.outbox.store.setAside(second, 'too long');
  const expectOneOfEach = ({ outbox, files }: typeof journal) => {
    expect(outbox.counts()).toEqual({ waiting: 1, setAside: 1 });
    expect(outbox.store.next(10)).toHaveLength(1);
    expect(files.counts()).toEqual({ recorded: 1, stored: 2 });
  };
  expectOneOfEach(journal);
  expectOneOfEach(await parts.reopen());
});

test('rows that were set aside wait again, in their order, when they are to be retried', async () => {
  await using parts = await openTestJournal();
  const { files, outbox } = parts.journal();
  await files.settled(['a', 'b', 'c'].map((path) => settledFile(path)));
  for (const file of queueOf(parts.journal())) await outbox.enqueue(storedOutcome(file), new Date());
  const rows = outbox.store.next(10);
  for (const row of rows.slice(0, 2)) await outbox.store.setAside(row, 'odd');
  await outbox.retrySetAside();
  expect(outbox.counts()).toEqual({ waiting: 3, setAside: 0 });
  expect(outbox.store.next(10)).toEqual(rows);
});

test('rows that are enqueued while others are recorded are counted right', async () => {
  await using parts = await openTestJournal();
  const { files, outbox } = parts.journal();
  await files.settled(['a', 'b', 'c'].map((path) => settledFile(path)));
  const [a, b, c] = queueOf(parts.journal());
  if (a === undefined || b === undefined || c === undefined) throw new Error('three were settled');
  await outbox.enqueue(storedOutcome(a), new Date());
  await Promise.all([
    outbox.store.recorded(outbox.store.next(10)),
    outbox.enqueue(storedOutcome(b), new Date()),
    outbox.enqueue(storedOutcome(c), new Date()),
  ]);
  expect(outbox.counts().waiting).toBe(2);
});

test('a file replaced during its upload: the stored one has its row, the new one waits as a file of its own', async () => {
  await using parts = await openTestJournal();
  const journal = parts.journal();
  await journal.files.settled([settledFile('invoice.pdf')]);
  const uploading = queued(journal, 'invoice.pdf');
  await journal.files.attempt(uploading.fileId, 'key', 'row-1');
  await journal.files.unanswered(uploading.fileId, sha256Of('old'));
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ content: 2 }))]);
  await journal.outbox.enqueue(storedOutcome(uploading), new Date());

  const replacing = queued(journal, 'invoice.pdf');
  expect(replacing.identity).toEqual(identityOf({ content: 2 }));
  expect(replacing.fileId).not.toBe(uploading.fileId);
  expect(replacing).toMatchObject({ rowId: undefined, key: undefined, unansweredSha256: undefined, attempts: 0 });
  await recordAll(journal);
  expect(journal.files.recordedAfter(0, 10)).toEqual([]); // else the new one would be archived in its place
  expect(queueOf(journal)).toEqual([replacing]);
});

test('a file touched during its upload is hashed once more before it counts as stored', async () => {
  await using parts = await openTestJournal();
  const journal = parts.journal();
  await journal.files.settled([settledFile('invoice.pdf')]);
  const uploading = queued(journal, 'invoice.pdf');
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 1 }))]);
  await journal.outbox.enqueue(storedOutcome(uploading), new Date());
  expect(queued(journal, 'invoice.pdf')).toMatchObject({ fileId: uploading.fileId, restedAs: 'stored' });
  await journal.files.untouched(queued(journal, 'invoice.pdf'));
  await recordAll(journal);
  expect(journal.files.recordedAfter(0, 10).map(({ file }) => file.fileId)).toEqual([uploading.fileId]);
});

test('duplicates are known by path, size, content and bucket', async () => {
  await using parts = await openTestJournal();
  const { files, outbox, storedObjects } = parts.journal();
  const path = pathFromText('invoice.pdf');
  const store = async (content: string, number: number) => {
    await files.settled([settledFile('invoice.pdf', identityOf({ content: number }))]);
    await outbox.enqueue(storedOutcome(queued(parts.journal(), 'invoice.pdf'), { content, key: content }), new Date());
  };
  await store('one', 1);
  await store('two', 2);
  const sought = { bucket: testBucket, path, size: 100, sha256: sha256Of('one') };
  expect(storedObjects.knowsSize(path, 100)).toBe(true);
  expect(storedObjects.knowsSize(path, 101)).toBe(false);
  expect(storedObjects.duplicateOf(sought, 'any')?.key).toBe('one');
  expect(storedObjects.duplicateOf(sought, 'latest')).toBeUndefined();
  expect(storedObjects.duplicateOf({ ...sought, sha256: sha256Of('two') }, 'latest')?.key).toBe('two');
  expect(storedObjects.duplicateOf({ ...sought, path: pathFromText('other.pdf') }, 'any')).toBeUndefined();
  expect(storedObjects.duplicateOf({ ...sought, bucket: 'another' }, 'any')).toBeUndefined();
  expect(storedObjects.knowsKey(testBucket, 'one')).toBe(true);
  expect(storedObjects.knowsKey('another', 'one')).toBe(false);
  expect(storedObjects.knowsKey(testBucket, 'three')).toBe(false);
});

test('what was stored long ago is forgotten, except under paths that are still in the folder', async () => {
  await using parts = await openTestJournal();
  const { files, outbox, storedObjects } = parts.journal();
  const day = (number: number) => new Date(Date.UTC(2026, 0, number));
  for (const [path, at] of [
    ['old', 1],
    ['kept', 1],
    ['new', 20],
  ] as const) {
    await files.settled([settledFile(path)]);
    const file = queued(parts.journal(), path);
    await outbox.enqueue(storedOutcome(file, { key: path }), day(at));
    await recordAll(parts.journal());
    await files.disposed([{ fileId: file.fileId, rests: path === 'kept' ? 'kept' : undefined }]);
  }
  expect(await storedObjects.prune(day(10))).toBe(1);
  const known = ['old', 'kept', 'new'].filter((key) => storedObjects.knowsKey(testBucket, key));
  expect(known).toEqual(['kept', 'new']);
});

test('folders that were emptied are due when no upload has touched them since', async () => {
  await using parts = await openTestJournal();
  const { emptiedFolders } = parts.journal();
  const folder = pathFromText;
  await emptiedFolders.note([folder(''), folder('a'), folder('a/b'), folder('c')], new Date(1000));
  await emptiedFolders.note([folder('c')], new Date(3000));
  expect(emptiedFolders.due(new Date(2000))).toEqual(['a/b', 'a']); // the deepest first, never the drop folder itself
  await emptiedFolders.forget([folder('a/b')]);
  expect(emptiedFolders.due(new Date(9000))).toEqual(['a', 'c']);
});
