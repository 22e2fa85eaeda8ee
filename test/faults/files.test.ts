import { execFile } from 'node:child_process';
import { appendFile, copyFile, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { sha256Of } from '../support/daemon-files.ts';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import { statusOf } from '../support/daemon-status.ts';
import { type LocalStore, ownerOf } from '../support/daemon-store.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { mountDisk, whyNoMounts } from '../support/faults/mounted-disk.ts';
import { usePostgres } from '../support/postgres.ts';
import { hostileNames } from '../support/sample-tree.ts';

/** What may happen to a file while it is looked at, read and sent: never a mixture in the bucket, and a clear reason. */
const postgres = usePostgres();
const run = promisify(execFile);
const mebibyte = 2 ** 20;
const reason = whyNoMounts();

/** Calls it once, when the first part of this key, or all of it, is on its way. */
function whileSent(store: LocalStore, key: string, act: () => Promise<void>): void {
  let isDone = false;
  store.faults = async (request) => {
    if (isDone || request.key !== key || !['UploadPart', 'PutObject'].includes(request.operation)) return undefined;
    isDone = true;
    await act();
    return undefined;
  };
}

const before = Buffer.alloc(6 * mebibyte, 'before ');

const changes: readonly (readonly [string, Buffer, (file: string) => Promise<void>])[] = [
  ['grows', Buffer.concat([before, Buffer.from('more')]), (file) => appendFile(file, 'more')],
  ['shrinks', before.subarray(0, mebibyte), (file) => truncate(file, mebibyte)],
  ['shrinks to nothing', Buffer.alloc(0), (file) => truncate(file, 0)],
  [
    'is replaced by a rename',
    Buffer.alloc(before.length, 'another file of that size'),
    async (file) => {
      const other = join(file, '../.other');
      await writeFile(other, Buffer.alloc(before.length, 'another file of that size'));
      await rename(other, file);
    },
  ],
  [
    'is overwritten in place',
    Buffer.alloc(before.length, 'after '),
    (file) => writeFile(file, Buffer.alloc(before.length, 'after ')),
  ],
];

test.concurrent.each(changes)(
  'a file that %s while it is sent in parts is stored as it is in the end',
  async (_how, after, change) => {
    await using place = await makeWorkplace({ postgres, config: { s3: { partSizeMiB: 5 } } });
    await place.start();
    whileSent(place.store, 'in/file.bin', () => change(join(place.inbox, 'file.bin')));
    await writeFile(join(place.folder, 'file.bin'), before);
    await rename(join(place.folder, 'file.bin'), join(place.inbox, 'file.bin'));
    place.note({ path: pathFromText('file.bin'), size: after.length, sha256: sha256Of(after), rejected: undefined });
    await expectInvariants(place);
  },
);

test.concurrent('a small file that changes while it is sent: what was read is stored, and what it is now beside it', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.start();
  whileSent(place.store, 'in/file.txt', () => writeFile(join(place.inbox, 'file.txt'), 'what it is now'));
  await place.drop('file.txt', 'what was read');
  await allDone(place);
  using owner = ownerOf(place.store);
  await vi.waitFor(async () => expect(await place.rows()).toHaveLength(2), { timeout: 20_000 });
  for (const { object_key, sha256 } of await place.rows()) {
    expect([sha256Of('what was read'), sha256Of('what it is now')]).toContain(sha256);
    expect(await owner.sha256(String(object_key))).toBe(sha256);
  }
});

test.concurrent('a file that vanishes while it is sent: nothing of it stays, and it is said', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { partSizeMiB: 5 } } });
  const daemon = await place.start();
  whileSent(place.store, 'in/vanishing.bin', () => rm(join(place.inbox, 'vanishing.bin')));
  await writeFile(join(place.folder, 'vanishing.bin'), before);
  await rename(join(place.folder, 'vanishing.bin'), join(place.inbox, 'vanishing.bin'));
  await vi.waitFor(() => expect(place.store.count('AbortMultipartUpload')).toBe(2), { timeout: 20_000 });
  await place.drop('other.txt', 'goes on');
  await expectInvariants(place);
  expect(daemon.named('uploaded')).toHaveLength(1);
});

test.concurrent('a sparse file of 100 GiB holds up no other, and can be taken away', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { concurrency: 4 } } });
  await writeFile(join(place.inbox, 'sparse.img'), '');
  await truncate(join(place.inbox, 'sparse.img'), 100 * 2 ** 30);
  place.store.faults = ({ operation }) => (operation === 'UploadPart' ? { kind: 'delay', ms: 300 } : undefined);
  await place.start();
  await vi.waitFor(() => expect(place.store.count('UploadPart')).toBeGreaterThan(2), { timeout: 30_000 });
  for (let file = 0; file < 30; file += 1) await place.drop(`small/${file}.txt`, `content ${file}`);
  await place.drop('large.bin', Buffer.alloc(20 * mebibyte, 'large'));
  await allDone(place, { left: [pathFromText('sparse.img')] });
  await rm(join(place.inbox, 'sparse.img'));
  await vi.waitFor(() => expect(place.store.count('AbortMultipartUpload')).toBe(2), { timeout: 30_000 });
  await expectInvariants(place);
});

test.concurrent('FIFOs, sockets, devices and loops of symlinks are left alone', async () => {
  await using place = await makeWorkplace({ postgres });
  const at = (name: string) => join(place.inbox, name);
  const daemon = await place.start();
  await run('mkfifo', [at('fifo')]);
  if (process.getuid?.() === 0) await run('mknod', [at('device'), 'c', '1', '5']);
  const server = createServer().listen(at('socket'));
  for (const [target, name] of [
    ['loop b', 'loop a'],
    ['loop a', 'loop b'],
    ['.', 'self'],
    ['..', 'up'],
    ['nowhere', 'dangling'],
  ] as const)
    await symlink(target, at(name));
  await place.drop('real.txt', 'real');
  await expectInvariants(place);
  await place.drop('later.txt', 'after another scan');
  await expectInvariants(place);
  expect(daemon.named('uploaded')).toHaveLength(2);
  server.close();
});

test.concurrent('a symlink that takes the place of a subfolder: what it points to is never read', async () => {
  await using place = await makeWorkplace({ postgres });
  const secrets = join(place.folder, 'secrets');
  await mkdir(secrets);
  await place.store.stop(); // before the start: no file is opened while uploads are paused
  const daemon = await place.start();
  const names = Array.from({ length: 10 }, (_, index) => `credentials ${index}`);
  await mkdir(join(place.inbox, 'sub'));
  for (const name of names) await writeFile(join(place.inbox, 'sub', name), 'harmless');
  await vi.waitFor(async () => expect((await statusOf(place)).queue.queued).toBe(names.length), {
    timeout: 45_000,
    interval: 200,
  });
  for (const name of names) {
    await copyFile(join(place.inbox, 'sub', name), join(secrets, name));
    await writeFile(join(secrets, name), 'a secret');
  }
  await rename(join(place.inbox, 'sub'), join(place.folder, 'was-sub'));
  await symlink(secrets, join(place.inbox, 'sub'));
  await place.store.start();
  await daemon.waitFor('gone', {}, names.length);
  await place.drop('after.txt', 'after');
  await expectInvariants(place);
});

test.concurrent('any name, in any folder, up to the longest key: uploaded or quarantined, no forged line, no broken row', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  for (const { name, rejected } of hostileNames) {
    await place.drop(Buffer.concat([name, Buffer.from('/'), name]), name, rejected);
  }
  const folders = `${'x'.repeat(200)}/`.repeat(4);
  const prefix = place.store.prefix.length;
  for (const bytes of [1024, 1025, 1030]) {
    const name = folders + 'k'.repeat(bytes - prefix - folders.length);
    await place.drop(name, `${bytes}`, bytes > 1024 ? /object key would have \d+ bytes/ : undefined);
  }
  await expectInvariants(place);
  expect(daemon.lines.filter(({ event }) => event === 'ready')).toHaveLength(1);
}, 120_000);

describe.skipIf(reason !== undefined)(`a disk that fails${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test.concurrent('to read a file (EIO): it waits, it is said why, the rest flows; and it goes once it can be read', async () => {
    await using files = await mountDisk(128, 'btrfs');
    await using place = await makeWorkplace({ postgres, disks: { files: files.path } });
    const mark = 'a mark that is nowhere else';
    const content = Buffer.concat([Buffer.alloc(400_000, 'x'), Buffer.from(mark), Buffer.alloc(400_000, 'y')]);
    await writeFile(join(place.inbox, 'rotten.bin'), content);
    await files.unmount();
    await files.rot(mark);
    await files.mount();
    const daemon = await place.start();
    await daemon.waitFor('retrying', { path: 'rotten.bin', error: /EIO/ });
    await place.drop('sound.txt', 'sound');
    await allDone(place, { left: [pathFromText('rotten.bin')] });
    expect(daemon.named('retrying')).toHaveLength(1);
    await place.drop('rotten.bin', content); // somebody brings it again
    await expectInvariants(place);
  });
});
