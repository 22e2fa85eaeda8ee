import { mkdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFileCalls } from '../../../src/drop-folder/file-calls.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
  await writeFile(folder.at('file'), 'content');
});
afterEach(() => folder[Symbol.asyncDispose]());

const bytes = (...segments: string[]) => Buffer.from(folder.at(...segments));

test('on a local file system calls are made at once, on a network file system in the background', async () => {
  const local = createFileCalls({ onNetwork: false }).lstat(bytes('file'));
  const remote = createFileCalls({ onNetwork: true }).lstat(bytes('file'));
  expect(local).toMatchObject({ size: 7n });
  expect(remote).toBeInstanceOf(Promise);
  expect(await remote).toMatchObject({ size: 7n });
});

test.each([false, true])('nothing there is an answer, all else an error (network: %s)', async (onNetwork) => {
  const calls = createFileCalls({ onNetwork });
  await mkdir(folder.at('folder'));
  expect(await calls.lstat(bytes('missing'))).toBeUndefined();
  expect(await calls.lstat(bytes('file', 'below'))).toBeUndefined();
  const tooLong = async () => calls.lstat(bytes('x'.repeat(300)));
  await expect(tooLong()).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
  const aFolder = async () => calls.open(bytes('folder'), 1);
  await expect(aFolder()).rejects.toMatchObject({ code: 'EISDIR' });
});

test.each([false, true])('what is read is what is there (network: %s)', async (onNetwork) => {
  const calls = createFileCalls({ onNetwork });
  const fd = await calls.open(bytes('file'), 0);
  const buffer = Buffer.alloc(100);
  expect(await calls.read(fd, buffer, 3)).toBe(4);
  expect(buffer.toString('utf8', 0, 4)).toBe('tent');
  expect(await calls.read(fd, buffer, 7)).toBe(0);
  await calls.close(fd);
});

test('what changes a folder, and so may wait for a disk, never holds up the event loop', async () => {
  const calls = createFileCalls({ onNetwork: false });
  const changes = [
    () => calls.link(bytes('file'), bytes('linked')),
    () => calls.rename(bytes('linked'), bytes('renamed')),
    () => calls.unlink(bytes('renamed')),
  ];
  for (const change of changes) {
    const changing = change();
    expect(changing).toBeInstanceOf(Promise);
    await changing;
  }
  expect(await calls.lstat(bytes('renamed'))).toBeUndefined();
});

test('however many calls there are, the event loop has its turns', async () => {
  const calls = createFileCalls({ onNetwork: false });
  let turns = 0;
  const turn = () => {
    turns += 1;
    if (turns < 3) setImmediate(turn);
  };
  setImmediate(turn);
  for (let count = 0; turns < 3 && count < 1_000_000; count += 1) await calls.lstat(bytes('file'));
  expect(turns).toBe(3);
});
