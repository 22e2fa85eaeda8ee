/**
 * A large file and a server that nobody here wrote: killed in the middle of an upload, and changed in the middle of it.
 * By default a small share of it; `DROPLEDGER_KILLS=20 DROPLEDGER_KILL_MIB=2048` is all (ten minutes, 6 GB of memory).
 */
import { appendFile, open, rename, rm, stat, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { type Ceph, cephMissing, startCeph } from '../support/ceph.ts';
import { sha256OfFile } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { ownerOf, type Store } from '../support/daemon-store.ts';
import { makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { usePostgres } from '../support/postgres.ts';

const mebibyte = 2 ** 20;
const partSize = 8 * mebibyte;
const concurrency = 8;
const kills = Number(process.env['DROPLEDGER_KILLS'] ?? 3);
const killedSize = Number(process.env['DROPLEDGER_KILL_MIB'] ?? 128) * mebibyte;

describe.skipIf(cephMissing() !== undefined)('a large upload to Ceph RGW', () => {
  const postgres = usePostgres();
  let ceph: Ceph;
  let proxy: FaultProxy;
  beforeAll(async () => {
    ceph = await startCeph({ storeMiB: 3 * 1024 + (4 * killedSize) / mebibyte });
    proxy = await startFaultProxy(ceph.url);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await ceph?.[Symbol.asyncDispose]();
  });

  /** The daemon goes by way of the proxy, which counts; the owner looks at the bucket itself. */
  const makePlace = async (bucket: string): Promise<Workplace> => {
    await ceph.createBucket(bucket);
    const { url, region, owner, writeOnly } = ceph;
    const store: Store = { url, region, bucket, prefix: '', owner, writer: writeOnly };
    const s3 = { endpoint: proxy.url, concurrency, partSizeMiB: partSize / mebibyte };
    return makeWorkplaceAt(store, { postgres, config: { s3, dropFolder: { settleMs: 200, rescanSeconds: 1 } } });
  };

  const bytesSent = () =>
    proxy.requests.reduce((sum, { operation, bodyBytes }) => sum + (operation === 'UploadPart' ? bodyBytes : 0), 0);
  const completes = () => proxy.requests.filter(({ operation }) => operation === 'CompleteMultipartUpload');

  test(`kill -9 at ${kills} random moments of ${killedSize / mebibyte} MiB: sent again is what was in flight`, async () => {
    await using place = await makePlace('killed');
    using owner = ownerOf(place.store);
    const told: string[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      const name = `large-${kill}.bin`;
      const share = Math.random() * 1.05; // beyond 1: once Complete was sent
      const sha256 = await writeLarge(join(place.folder, name), killedSize);
      proxy.fresh();
      const killed = await place.start();
      await rename(join(place.folder, name), join(place.inbox, name));
      await vi.waitUntil(() => (share < 1 ? bytesSent() >= share * killedSize : completes().length > 0), {
        timeout: 120_000,
        interval: 1,
      });
      await killed.kill();
      const atKill = bytesSent();
      const restarted = await place.start();
      await restarted.waitFor('uploaded', { path: name });
      expect(await owner.sha256(name)).toBe(sha256);
      expect(await owner.unfinished()).toEqual([]);
      const again = bytesSent() - killedSize;
      told.push(`killed after ${Math.round(atKill / mebibyte)} MiB: ${(again / mebibyte).toFixed(1)} MiB sent again`);
      expect(again, told.join('\n')).toBeLessThanOrEqual(concurrency * partSize);
      await vi.waitFor(async () => expect(await place.rows()).toHaveLength(kill), { timeout: 30_000 });
      await restarted.kill();
      await rm(join(place.archive, name), { force: true });
      await forget(place.store, name);
      await ceph.adminCommand('gc', 'process', '--include-all'); // the store lies in memory
    }
    const rows = await place.rows();
    expect(new Set(rows.map(({ path }) => path)).size).toBe(kills);
    expect(rows.every(({ status }) => status === 'uploaded')).toBe(true);
    process.stdout.write(`${told.join('\n')}\n`);
  }, 3_600_000);

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
  ])('a file that %s meanwhile: the bucket never holds a mixture', async (what, change) => {
    await using place = await makePlace(`torn-${what.replaceAll(' ', '-')}`);
    const [path, staged] = [pathFromText('torn.bin'), join(place.folder, 'torn.bin')];
    const inInbox = join(place.inbox, 'torn.bin');
    await writeLarge(staged, size);
    let changed: Promise<void> | undefined;
    proxy.fresh(async ({ operation, part }) => {
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

async function forget({ url, region, bucket, owner }: Store, key: string): Promise<void> {
  const client = new S3Client({ endpoint: url, region, credentials: owner, forcePathStyle: true });
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
  client.destroy();
}
