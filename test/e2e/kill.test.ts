import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import type { LocalStore } from '../support/daemon-store.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** `kill -9` at any moment, and a new start: nothing lost, nothing twice. */
const postgres = usePostgres();
const mebibyte = 2 ** 20;

const dropMany = async (place: Workplace, count: number): Promise<void> => {
  for (let file = 0; file < count; file += 1) await place.drop(`f${file % 7}/${file}.txt`, `content of ${file}`);
};

test.concurrent('again and again while many small files are uploaded', async () => {
  await using place = await makeWorkplace({ postgres });
  await dropMany(place, 200);
  for (const uploads of [1, 40, 60]) {
    const daemon = await place.start();
    await daemon.waitFor('uploaded', {}, uploads);
    await daemon.kill();
  }
  await place.start();
  const rows = await expectInvariants(place);
  expect(rows.every(({ status }) => status === 'uploaded')).toBe(true);
});

test.concurrent('in the middle of a large upload: it goes on where it was', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { partSizeMiB: 5, concurrency: 2 } } });
  const parts = 10;
  await place.drop('large.bin', Buffer.alloc(parts * 5 * mebibyte, 'large'));
  place.store.faults = slowParts;
  for (const stored of [3, 6]) {
    const daemon = await place.start();
    await partsStored(place.store, stored);
    await daemon.kill();
  }
  await place.start();
  const [row] = await expectInvariants(place);
  expect(row).toMatchObject({ status: 'uploaded', part_count: parts });
  expect(place.store.count('CreateMultipartUpload')).toBe(4); // three of them a start's proof of write access
  // two kills lose at most what was on its way, or not yet noted, each time
  expect(place.store.count('UploadPart')).toBeLessThanOrEqual(parts + 2 * 4);
});

const slowParts: LocalStore['faults'] = ({ operation }) =>
  operation === 'UploadPart' ? { kind: 'delay', ms: 50 } : undefined;

const partsStored = async (store: LocalStore, count: number): Promise<void> => {
  const enough = () => expect(store.count('UploadPart')).toBeGreaterThanOrEqual(count);
  await vi.waitFor(enough, { timeout: 20_000, interval: 5 });
};

test.concurrent.each([
  ['a put', 'PutObject', 100_000],
  ['Complete', 'CompleteMultipartUpload', 12 * mebibyte],
] as const)('between what S3 did at %s and its answer', async (_what, operation, size) => {
  await using place = await makeWorkplace({ postgres });
  await place.drop('unanswered.bin', Buffer.alloc(size, 'unanswered'));
  const done = Promise.withResolvers<void>();
  place.store.faults = (request) => {
    if (request.operation !== operation || request.key !== 'in/unanswered.bin') return undefined;
    setTimeout(done.resolve, 200);
    return { kind: 'hang', work: true };
  };
  const daemon = await place.start();
  await done.promise;
  await daemon.kill();
  place.store.faults = undefined;
  await place.start();
  const rows = await expectInvariants(place);
  expect(rows).toMatchObject([{ status: 'uploaded', object_key: 'in/unanswered.bin' }]);
});

test('between S3 and the ledger: the rows wait in the journal, in their order', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await postgres.stop();
  await dropMany(place, 50);
  await daemon.waitFor('uploaded', {}, 50);
  const order = daemon.named('uploaded').map(({ id }) => id);
  await daemon.kill();
  await postgres.start();
  await place.start();
  const rows = await expectInvariants(place);
  expect(rows.map(({ id }) => id)).toEqual(order);
});

test('while a thousand files are moved to the archive', async () => {
  await using place = await makeWorkplace({ postgres });
  const archived = async () => (await readdir(place.archive, { recursive: true })).length;
  const daemon = await place.start();
  await postgres.stop();
  await dropMany(place, 1000);
  await daemon.waitFor('uploaded', {}, 1000);
  await postgres.start();
  await vi.waitUntil(async () => (await archived()) > 10, { timeout: 30_000, interval: 1 });
  await daemon.kill();
  expect(await archived()).toBeLessThan(1000); // it was killed in the middle
  await place.start();
  const rows = await expectInvariants(place);
  expect(rows.every(({ status }) => status === 'uploaded')).toBe(true);
});

test.concurrent('at random moments, while files keep coming', async () => {
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { afterUpload: 'delete' } } });
  await mkdir(join(place.inbox, 'stream'));
  let coming = true;
  const producer = (async () => {
    for (let file = 0; coming; file += 1) {
      await place.drop(`stream/${file}.txt`, `streamed ${file}`);
      await sleep(20);
    }
  })();
  for (let round = 0; round < 4; round += 1) {
    const daemon = place.spawn();
    await daemon.waitFor('ready');
    await sleep(Math.random() * 400);
    await daemon.kill();
  }
  coming = false;
  await producer;
  await place.start();
  await allDone(place);
  await expectInvariants(place);
});
