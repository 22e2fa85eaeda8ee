/**
 * A large file and a server that nobody here wrote: killed in the middle of an upload, and changed in the middle of it.
 * By default a small share of it; `DROPLEDGER_KILLS=20 DROPLEDGER_KILL_MIB=2048` is all (ten minutes, 6 GB of memory).
 */
import { appendFile, open, rename, stat, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { type Ceph, cephMissing, startCeph } from '../support/ceph.ts';
import { sha256OfFile } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import type { Store } from '../support/daemon-store.ts';
import { makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { usePostgres } from '../support/postgres.ts';

const mebibyte = 2 ** 20;
const partSize = 8 * mebibyte;
const concurrency = 8;
const kills = Number(process.env['DROPLEDGER_KILLS'] ?? 3);
const killedSize = Number(process.env['DROPLEDGER_KILL_MIB'] ?? 128) * mebibyte;

/** The gateway's store lies in memory: few files a cluster. */
const killsInARound = 3;
const rounds = Array.from({ length: Math.ceil(kills / killsInARound) }, (_, round) => ({
  from: round * killsInARound + 1,
  to: Math.min(kills, (round + 1) * killsInARound),
}));

/** A cluster, and a proxy that counts what the daemon sends; the owner looks at the bucket itself. */
function useGateway() {
  const postgres = usePostgres();
  let ceph: Ceph;
  let proxy: FaultProxy;
  beforeAll(async () => {
    ceph = await startCeph({ storeMiB: 2048 + (2 * killsInARound * killedSize) / mebibyte });
    proxy = await startFaultProxy(ceph.url);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await ceph?.[Symbol.asyncDispose]();
  });
  return {
    async makePlace(bucket: string): Promise<Workplace> {
      await ceph.createBucket(bucket);
      const { url, region, owner, writeOnly } = ceph;
      const store: Store = { url, region, bucket, prefix: '', owner, writer: writeOnly };
      const s3 = { endpoint: proxy.url, concurrency, partSizeMiB: partSize / mebibyte };
      return makeWorkplaceAt(store, { postgres, config: { s3, dropFolder: { settleMs: 200, rescanSeconds: 1 } } });
    },
    fresh: (fault?: Parameters<FaultProxy['fresh']>[0]) => proxy.fresh(fault),
    bytesSent: () =>
      proxy.requests.reduce((sum, { operation, bodyBytes }) => sum + (operation === 'UploadPart' ? bodyBytes : 0), 0),
    completes: () => proxy.requests.filter(({ operation }) => operation === 'CompleteMultipartUpload'),
  };
}

const withCeph = describe.skipIf(cephMissing() !== undefined);

withCeph.each(rounds)('kill -9 in an upload to Ceph RGW, $from to $to', ({ from, to }) => {
  const { makePlace, fresh, bytesSent, completes } = useGateway();
  const moments = Array.from({ length: to - from + 1 }, (_, index) => from + index);

  test.each(moments)(
    `at random moment %i of ${killedSize / mebibyte} MiB: what is sent again was in flight`,
    async (moment) => {
      await using place = await makePlace(`killed-${moment}`);
      const share = Math.random() * 1.05; // beyond 1: once Complete was sent
      const sha256 = await writeLarge(join(place.folder, 'large.bin'), killedSize);
      fresh();
      const killed = await place.start();
      await rename(join(place.folder, 'large.bin'), join(place.inbox, 'large.bin'));
      const reached = () => (share < 1 ? bytesSent() >= share * killedSize : completes().length > 0);
      await vi.waitUntil(reached, { timeout: 120_000, interval: 1 });
      await killed.kill();
      const atKill = bytesSent();
      await place.start();
      place.note({ path: pathFromText('large.bin'), size: killedSize, sha256, rejected: undefined });
      await expectInvariants(place, { patienceMs: 120_000 });
      const again = bytesSent() - killedSize;
      const text = `killed after ${Math.round(atKill / mebibyte)} MiB: ${(again / mebibyte).toFixed(1)} MiB sent again`;
      process.stdout.write(`${text}\n`);
      expect(again, text).toBeLessThanOrEqual(concurrency * partSize);
    },
    300_000,
  );
});

withCeph('a file that changes while it goes to Ceph RGW', () => {
  const { makePlace, fresh, completes } = useGateway();
  const size = 6 * partSize;
  test.each<[string, (file: string) => Promise<void>]>([
    ['grows', (file) => appendFile(file, 'more')],
    ['shrinks', (file) => truncate(file, size - 3 * mebibyte)],
    [
      'is replaced',
      async (file) => {
        await writeLarge(`${file}.tmp`, size);
        await rename(`${file}.tmp`, file);
      },
    ],
    [
      'is overwritten in its middle',
      async (file) => {
        await using handle = await open(file, 'r+');
        await handle.write('torn', size / 2);
      },
    ],
    ['is touched', (file) => utimes(file, new Date(), new Date())],
  ])('and %s: the bucket never holds a mixture', async (what, change) => {
    await using place = await makePlace(`torn-${what.replaceAll(' ', '-')}`);
    const [path, staged] = [pathFromText('torn.bin'), join(place.folder, 'torn.bin')];
    const inInbox = join(place.inbox, 'torn.bin');
    await writeLarge(staged, size);
    let changed: Promise<void> | undefined;
    fresh(async ({ operation, part }) => {
      if (operation === 'UploadPart' && part === 3) changed ??= change(inInbox);
      await changed;
      return undefined;
    });
    await place.start();
    await rename(staged, inInbox);
    await vi.waitUntil(() => changed !== undefined, { timeout: 30_000 });
    await changed;
    place.note({ path, ...(await contentOf(inInbox, place)), rejected: undefined });
    await expectInvariants(place);
    // one object was ever made, and it is what the file became
    expect(completes().filter(({ status }) => status === 200)).toHaveLength(1);
  });
});

/** Each part begins unlike every other, and the rest of it takes no room on the disk. */
async function writeLarge(file: string, size: number): Promise<string> {
  {
    await using handle = await open(file, 'w');
    for (let at = 0; at < size; at += partSize) await handle.write(`part at ${at} of ${Math.random()}`, at);
    await handle.truncate(size);
  }
  return sha256OfFile(file);
}

/** Of the changed file, wherever it is by now. */
async function contentOf(inInbox: string, { archive }: Workplace): Promise<{ size: number; sha256: string }> {
  const archived = join(archive, 'torn.bin');
  const file = await stat(inInbox).then(
    () => inInbox,
    () => archived,
  );
  return { size: (await stat(file)).size, sha256: await sha256OfFile(file) };
}
