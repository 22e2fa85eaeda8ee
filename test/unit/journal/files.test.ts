import { expect, test } from 'vitest';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import {
  identityOf,
  openTestJournal,
  quarantineOutcome,
  queued,
  queueOf,
  recordAll,
  settledFile,
  storedOutcome,
} from '../../support/test-journal.ts';

const open = async () => {
  const parts = await openTestJournal();
  return { parts, journal: parts.journal() };
};
const invoice = pathFromText('invoice.pdf');

test('files wait in the order in which they came to rest, across a restart', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  expect(await journal.files.settled(['c', 'a', 'b'].map((path) => settledFile(path)))).toBe(3);
  const before = queueOf(journal);
  expect(before.map(({ path }) => path)).toEqual(['c', 'a', 'b']);
  expect(queueOf(await parts.reopen())).toEqual(before);
});

test('a name that is no UTF-8 comes back byte for byte', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  const path = 'caf\xe9/\xff\xfe\n.bin' as typeof invoice;
  await journal.files.settled([{ ...settledFile('x'), path }]);
  expect(queueOf(await parts.reopen()).map((file) => file.path)).toEqual([path]);
});

test('the same file offered again is no news, in any state', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  const again = () => journal.files.settled([settledFile('invoice.pdf')]);
  expect(await again()).toBe(1);
  expect(await again()).toBe(0);
  const file = queued(journal, 'invoice.pdf');
  await journal.outbox.enqueue(storedOutcome(file), new Date());
  expect(await again()).toBe(0);
  await recordAll(journal);
  expect(await again()).toBe(0);
  await journal.files.disposed([{ fileId: file.fileId, rests: 'kept' }]);
  expect(await again()).toBe(0);
  expect(journal.files.counts()).toEqual({ kept: 1 });
});

test('a file that changes while it waits stays one file, at the end of the queue', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf'), settledFile('other')]);
  const before = queued(journal, 'invoice.pdf');
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ content: 2 }))]);
  const after = queued(journal, 'invoice.pdf');
  expect(queueOf(journal).map(({ path }) => path)).toEqual(['other', 'invoice.pdf']);
  expect(after.fileId).toBe(before.fileId);
  expect(after.identity).toEqual(identityOf({ content: 2 }));
});

test('no position in the queue is ever given twice: a lane that has passed it would never look there again', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  const seen: number[] = [];
  const settle = async (path: string, content: number) => {
    await journal.files.settled([settledFile(path, identityOf({ content }))]);
    const { position } = queued(journal, path);
    expect(Math.max(0, ...seen)).toBeLessThan(position);
    seen.push(position);
  };
  await settle('first', 1);
  await settle('second', 1);
  await journal.files.forget(queued(journal, 'second'));
  await settle('first', 2); // put in the queue anew where the newest was forgotten
  await journal.files.forget(queued(journal, 'first'));
  await settle('third', 1);
  await parts.reopen().then((reopened) => reopened.files.forget(queued(reopened, 'third')));
  await parts.journal().files.settled([settledFile('fourth')]);
  expect(queued(parts.journal(), 'fourth').position).toBeGreaterThan(Math.max(...seen));
});

test('a window of the queue tells how far it reached, also where nothing in it has the size', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled(['a', 'b', 'c'].map((path) => settledFile(path, identityOf({ size: 10 }))));
  const large = { least: 1000, most: 9999 };
  const nothing = journal.files.queuedAfter(0, large, 10);
  expect(nothing).toEqual({ jobs: [], upTo: queued(journal, 'c').position, more: false });
  await journal.files.settled([settledFile('large', identityOf({ size: 5000 }))]);
  expect(journal.files.queuedAfter(nothing.upTo, large, 10).jobs.map(({ path }) => path)).toEqual(['large']);
  const small = { least: 0, most: 999 };
  const first = journal.files.queuedAfter(0, small, 2);
  expect(first.more).toBe(true);
  expect(journal.files.queuedAfter(first.upTo, small, 2).jobs.map(({ path }) => path)).toEqual(['c']);
});

test('an attempt, what it left unanswered and its failure are there after a restart', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  const { fileId } = queued(journal, 'invoice.pdf');
  await journal.files.attempt(fileId, 'key', 'row-1');
  await journal.files.attempt(fileId, 'other-key', 'row-2');
  await journal.files.unanswered(fileId, 'abc');
  await journal.files.failed(fileId, 3, 12_345, 'no answer');
  expect(queued(await parts.reopen(), 'invoice.pdf')).toMatchObject({
    key: 'other-key',
    rowId: 'row-1', // kept for good: a key may be made of it
    unansweredSha256: 'abc',
    attempts: 3,
    nextTryAt: 12_345,
    lastError: 'no answer',
  });
});

test('one that changed while it was read returns to the queue when it rests, even unchanged', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  await journal.files.unsettle(queued(journal, 'invoice.pdf').fileId);
  expect(queueOf(journal)).toEqual([]);
  expect(await journal.files.settled([settledFile('invoice.pdf')])).toBe(1);
  expect(queueOf(journal)).toHaveLength(1);
});

test('one that was forgotten because it vanished does not take along what came to its path meanwhile', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  const vanished = queued(journal, 'invoice.pdf');
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ content: 2 }))]);
  await journal.files.forget(vanished);
  expect(queueOf(journal)).toHaveLength(1);
});

test.each(['kept', 'not-movable'] as const)('a %s file', async (rests) => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  const { fileId } = queued(journal, 'invoice.pdf');
  await journal.outbox.enqueue(storedOutcome(queued(journal, 'invoice.pdf')), new Date());
  await recordAll(journal);
  await journal.files.disposed([{ fileId, rests }]);

  // touched twice (chmod, chown): the same file, to be hashed, and back again
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 1 }))]);
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 2 }))]);
  expect(queued(journal, 'invoice.pdf')).toMatchObject({ fileId, restedAs: rests });
  await journal.files.untouched(queued(journal, 'invoice.pdf'));
  expect(journal.files.known(invoice)).toEqual({ state: rests, identity: identityOf({ touched: 2 }) });

  // touched, and then written to before it was looked at: another file
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 3 }))]);
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ content: 2 }))]);
  expect(queued(journal, 'invoice.pdf').restedAs).toBeUndefined();
  expect(queued(journal, 'invoice.pdf').fileId).not.toBe(fileId);
});

test('a resting file whose bytes turn out to be others is another file', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  const { fileId } = queued(journal, 'invoice.pdf');
  await journal.outbox.enqueue(storedOutcome(queued(journal, 'invoice.pdf')), new Date());
  await recordAll(journal);
  await journal.files.disposed([{ fileId, rests: 'kept' }]);
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 1 }))]);
  const touched = queued(journal, 'invoice.pdf');
  await journal.files.renew(touched);
  const renewed = queued(journal, 'invoice.pdf');
  expect(renewed.restedAs).toBeUndefined();
  expect(renewed.fileId).not.toBe(fileId);
  expect(renewed.position).toBeGreaterThan(touched.position);
});

test('a file that is touched while its row waits for Postgres stays that file', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  const { fileId } = queued(journal, 'invoice.pdf');
  await journal.outbox.enqueue(storedOutcome(queued(journal, 'invoice.pdf')), new Date());
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 1 }))]);
  expect(queued(journal, 'invoice.pdf')).toMatchObject({ fileId, restedAs: 'stored' });
  await recordAll(journal); // Postgres is back before it was hashed
  expect(queued(journal, 'invoice.pdf')).toMatchObject({ fileId, restedAs: 'recorded' });
  await journal.files.untouched(queued(journal, 'invoice.pdf'));
  expect(journal.files.recordedAfter(0, 10).map(({ file }) => file.fileId)).toEqual([fileId]);
});

test('a file on its way to quarantine is not looked at again for a chmod', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  await journal.outbox.enqueue(quarantineOutcome(queued(journal, 'invoice.pdf')), new Date());
  expect(await journal.files.settled([settledFile('invoice.pdf', identityOf({ touched: 1 }))])).toBe(0);
  expect(journal.files.counts()).toEqual({ stored: 1 });
});

test('a file that replaces a recorded one waits as another, and the disposal of the old one leaves it alone', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('invoice.pdf')]);
  await journal.outbox.enqueue(storedOutcome(queued(journal, 'invoice.pdf')), new Date());
  await recordAll(journal);
  const [recorded] = journal.files.recordedAfter(0, 10);
  await journal.files.settled([settledFile('invoice.pdf', identityOf({ content: 2 }))]);
  await journal.files.disposed([{ fileId: recorded?.file.fileId ?? '', rests: undefined }]);
  expect(queued(journal, 'invoice.pdf').fileId).not.toBe(recorded?.file.fileId);
});

test('a resting file that vanished is forgotten, not the one that came to its place meanwhile', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  for (const path of ['a', 'b']) {
    await journal.files.settled([settledFile(path)]);
    const { fileId } = queued(journal, path);
    await journal.outbox.enqueue(storedOutcome(queued(journal, path)), new Date());
    await recordAll(journal);
    await journal.files.disposed([{ fileId, rests: 'kept' }]);
  }
  const resting = journal.files.restingAfter(0, 10);
  expect(resting.map(({ path }) => path)).toEqual(['a', 'b']);
  await journal.files.settled([settledFile('b', identityOf({ content: 2 }))]);
  await journal.files.forgetResting(resting.map(({ position }) => position));
  expect(journal.files.counts()).toEqual({ queued: 1 });
});

test('files that could not be moved get another chance', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  await journal.files.settled([settledFile('a')]);
  const { fileId } = queued(journal, 'a');
  await journal.outbox.enqueue(storedOutcome(queued(journal, 'a')), new Date());
  await recordAll(journal);
  await journal.files.disposed([{ fileId, rests: 'not-movable' }]);
  expect(journal.files.recordedAfter(0, 10)).toEqual([]);
  expect(await journal.files.retryNotMovable()).toBe(1);
  expect(journal.files.recordedAfter(0, 10)).toHaveLength(1);
});

test('the files of each state are counted, and the one that waits longest is named', async () => {
  const { parts, journal } = await open();
  await using _ = parts;
  expect(journal.files.counts()).toEqual({});
  expect(journal.files.oldestUnrecorded()).toBeUndefined();
  await journal.files.settled(['a', 'b', 'c'].map((path) => settledFile(path)));
  await journal.outbox.enqueue(storedOutcome(queued(journal, 'a')), new Date());
  await journal.files.unsettle(queued(journal, 'b').fileId);
  expect(journal.files.counts()).toEqual({ stored: 1, settling: 1, queued: 1 });
  expect(journal.files.oldestUnrecorded()).toEqual(settledFile('a').detectedAt);
  expect((await parts.reopen()).files.counts()).toEqual({ stored: 1, settling: 1, queued: 1 });
});
