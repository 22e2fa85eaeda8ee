import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { filesIn, sha256Of } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { type LocalStore, ownerOf } from '../support/daemon-store.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** Others at work: a database that refuses a row, a second daemon on the folder, another host on the same key. */
const postgres = usePostgres();
const mebibyte = 2 ** 20;

test.concurrent('a row that Postgres refuses for its content is set aside and said; the rest flows, and it as well once the cause is mended', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.database.query(`ALTER TABLE dropledger.uploads ADD CHECK (path NOT LIKE '%refused%')`);
  for (let file = 0; file < 40; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
  await place.drop('refused.txt', 'for its name');
  const daemon = await place.start();
  const said = await daemon.waitFor('set-aside');
  expect(said).toMatchObject({ level: 'error', path: 'refused.txt', error: expect.stringContaining('check') });
  const othersAreDone = async (count: number) => {
    expect(await place.rows()).toHaveLength(count);
    expect(await filesIn(place.archive)).toHaveLength(count);
    expect(await filesIn(place.inbox)).toEqual(['refused.txt']);
  };
  await vi.waitFor(() => othersAreDone(40), { timeout: 45_000 });

  await daemon.kill();
  const next = await place.start();
  await place.drop('later.txt', 'later');
  await vi.waitFor(() => othersAreDone(41), { timeout: 45_000 });
  expect(place.store.count('PutObject')).toBe(42);
  expect([daemon.named('set-aside').length, next.named('set-aside').length]).toEqual([1, 1]);

  await place.database.query('ALTER TABLE dropledger.uploads DROP CONSTRAINT uploads_path_check');
  await next.kill();
  await place.start();
  await expectInvariants(place);
});

test.concurrent('a second daemon on the folder, by whatever path, refuses to start; when the first is killed it may', async () => {
  await using place = await makeWorkplace({ postgres });
  await using other = await makeWorkplace({ postgres });
  const first = await place.start();
  await symlink(place.inbox, join(other.folder, 'another way'));
  for (const path of [place.inbox, join(other.folder, 'another way'), join(place.inbox, '../inbox')]) {
    await other.configure({ dropFolder: { path } });
    const second = other.spawn();
    expect(await second.exited).toEqual({ code: 78, signal: null });
    expect(second.lines.at(-1)?.['error']).toContain(`pid ${first.pid}`);
  }
  await place.drop('one.txt', 'one');
  await expectInvariants(place);
  await first.kill();
  await (await other.start()).kill();
});

/** A second host, with a ledger of its own, that puts under the same prefix. */
const makeOtherHost = (place: Workplace<LocalStore>, sharedPrefix: boolean) =>
  makeWorkplace({ postgres, config: { s3: { endpoint: place.store.url, sharedPrefix, partSizeMiB: 5 } } });

test.concurrent.each([
  ['a put', 'PutObject', 10, 'reset-after'],
  ['a put', 'PutObject', 10, 'reset-before'],
  ['Complete', 'CompleteMultipartUpload', 6 * mebibyte, 'reset-after'],
  ['Complete', 'CompleteMultipartUpload', 6 * mebibyte, 'reset-before'],
] as const)(
  'two hosts put the same key, and of one %s (%s, %i bytes) is lost (%s): both files are kept',
  async (_what, operation, size, kind) => {
    await using place = await makeWorkplace({ postgres, config: { s3: { sharedPrefix: true, partSizeMiB: 5 } } });
    await using other = await makeOtherHost(place, true);
    const [ours, theirs] = [Buffer.alloc(size, 'ours'), Buffer.alloc(size, 'theirs')];
    const key = 'in/same.bin';
    let attempts = 0;
    const otherIsDone = Promise.withResolvers<void>();
    place.store.faults = async (request) => {
      if (request.operation !== operation || request.key !== key) return undefined;
      attempts += 1;
      if (attempts > 1) return undefined;
      // theirs comes in between: before ours is there, or before it is tried again
      if (kind === 'reset-before') await otherIsDone.promise;
      return { kind };
    };
    await place.drop('same.bin', ours);
    await place.start();
    await vi.waitFor(() => expect(attempts).toBeGreaterThan(0), { timeout: 20_000 });
    await other.drop('same.bin', theirs);
    await other.start();
    await vi.waitFor(async () => expect(await other.rows()).toHaveLength(1), { timeout: 30_000 });
    otherIsDone.resolve();
    await vi.waitFor(async () => expect(await place.rows()).toHaveLength(1), { timeout: 45_000 });

    using owner = ownerOf(place.store);
    for (const [where, content] of [
      [place, ours],
      [other, theirs],
    ] as const) {
      const [row] = await where.rows();
      expect(row).toMatchObject({ status: 'uploaded', sha256: sha256Of(content) });
      expect(await owner.sha256(String(row?.object_key))).toBe(sha256Of(content));
    }
    const contents = await Promise.all([...(await owner.sizes()).keys()].map(owner.sha256));
    expect(contents.length).toBeLessThanOrEqual(3); // an answer that was lost may cost a second copy, never a file
    expect(new Set(contents)).toEqual(new Set([sha256Of(ours), sha256Of(theirs)]));
    expect(await owner.unfinished()).toEqual([]);
  },
);
