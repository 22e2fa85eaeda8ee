import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identityAt, openFolder } from '../../../src/drop-folder/folder.ts';
import { hashFile } from '../../../src/drop-folder/hash-file.ts';
import { createFileOpener, createOwnerLookup } from '../../../src/drop-folder/open-file.ts';
import type { OpenFile } from '../../../src/model.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import { runAsNobody } from '../../support/as-nobody.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';
import { identityOf, sha256Of } from '../../support/test-journal.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const path = pathFromText('sub/file');
const never = new AbortController().signal;

/** The file as it settled, and what opening it comes to. */
async function settled(content = 'content') {
  await mkdir(folder.at('sub'));
  await writeFile(folder.at('sub/file'), content);
  const opened = await openFolder(folder.path, 'folder');
  const identity = (await identityAt(opened, path)) ?? identityOf();
  const open = createFileOpener(opened, async (uid) => `user ${uid}`);
  return { identity, open: () => open({ path, identity, detectedAt: new Date() }) };
}

async function openedFile(outcome: ReturnType<Awaited<ReturnType<typeof settled>>['open']>): Promise<OpenFile> {
  const opened = await outcome;
  if (opened.kind !== 'open') throw new Error(opened.kind);
  return opened.file;
}

/** Descriptors of this process that lead into the folder. */
const descriptors = async () =>
  (await Promise.all((await readdir('/proc/self/fd')).map((fd) => identityOfFd(fd)))).filter((target) =>
    target.startsWith(folder.path),
  );
const identityOfFd = async (fd: string) => {
  const { readlink } = await import('node:fs/promises');
  return readlink(`/proc/self/fd/${fd}`).catch(() => '');
};

test('the file that settled is opened, with its owner and its bytes', async () => {
  const { open, identity } = await settled();
  const file = await openedFile(open());
  expect(file).toMatchObject({ path, identity, owner: `user ${process.getuid?.()}` });
  expect(await file.unchanged()).toBe(true);
  expect(await hashFile(file, never)).toBe(sha256Of('content'));
  await file.close();
});

test.each([
  ['grew', () => appendFile(folder.at('sub/file'), 'x'), 'changed'],
  ['was rewritten with as many bytes', () => writeFile(folder.at('sub/file'), 'CONTENT'), 'changed'],
  [
    'was replaced',
    async () => {
      await writeFile(folder.at('new'), 'content');
      await rename(folder.at('new'), folder.at('sub/file'));
    },
    'changed',
  ],
  ['is gone', () => rm(folder.at('sub/file')), 'vanished'],
  ['lost its folder', () => rm(folder.at('sub'), { recursive: true }), 'vanished'],
  [
    'became a FIFO, which is never opened',
    async () => {
      await rm(folder.at('sub/file'));
      execFileSync('mkfifo', [folder.at('sub/file')]);
    },
    'vanished',
  ],
  [
    'became a folder',
    async () => {
      await rm(folder.at('sub/file'));
      await mkdir(folder.at('sub/file'));
    },
    'vanished',
  ],
  [
    'became a symlink to itself',
    async () => {
      await rename(folder.at('sub/file'), folder.at('elsewhere'));
      await symlink(folder.at('elsewhere'), folder.at('sub/file'));
    },
    'vanished',
  ],
  [
    'has a symlink for a parent, with the very same file behind it',
    async () => {
      await rename(folder.at('sub'), folder.at('real'));
      await symlink(folder.at('real'), folder.at('sub'));
    },
    'vanished',
  ],
])('a file that %s since it settled', async (_how, happen, kind) => {
  const { open } = await settled();
  await happen();
  expect((await open()).kind).toBe(kind);
  expect(await descriptors()).toEqual([]);
});

test.each([
  ['grows', () => appendFile(folder.at('sub/file'), 'x')],
  ['shrinks', () => truncate(folder.at('sub/file'), 1)],
  ['is moved away', () => rename(folder.at('sub/file'), folder.at('other'))],
  [
    'is replaced',
    async () => {
      await writeFile(folder.at('new'), 'content');
      await rename(folder.at('new'), folder.at('sub/file'));
    },
  ],
])('a file that %s while it is read is not the same any more', async (_how, happen) => {
  const { open } = await settled();
  const file = await openedFile(open());
  await happen();
  expect(await file.unchanged()).toBe(false);
  await file.close();
});

test('the hash is over exactly the bytes that settled, and there is none of a file that shrank', async () => {
  const { open } = await settled('a'.repeat(3 * 2 ** 20));
  const file = await openedFile(open());
  await appendFile(folder.at('sub/file'), 'more');
  expect(await hashFile(file, never)).toBe(sha256Of('a'.repeat(3 * 2 ** 20)));
  await truncate(folder.at('sub/file'), 2 ** 20);
  expect(await hashFile(file, never)).toBeUndefined();
  await expect(hashFile(file, AbortSignal.abort(new Error('stopping')))).rejects.toThrow('stopping');
  await file.close();
});

test('an empty file is a file', async () => {
  const { open } = await settled('');
  const file = await openedFile(open());
  expect(await hashFile(file, never)).toBe(sha256Of(''));
  await file.close();
});

test('a file that the service user may not read is told as such', async () => {
  const outcome = await runAsNobody<{ kind: string; reason: string }>(
    `const { chmod, writeFile } = await import('node:fs/promises');
     const { identityAt, openFolder } = await load('src/drop-folder/folder.ts');
     const { createFileOpener } = await load('src/drop-folder/open-file.ts');
     await writeFile(at('file'), 'x', { mode: 0o200 });
     const folder = await openFolder(at(), 'folder');
     const identity = await identityAt(folder, 'file');
     return createFileOpener(folder, async () => '')({ path: 'file', identity });`,
  );
  expect(outcome).toEqual({ kind: 'unreadable', reason: expect.stringContaining('permission denied') });
});

test('owners have their names, a new user too, and their numbers where they have none', async () => {
  const passwd = folder.at('passwd');
  await writeFile(passwd, 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n');
  const ownerOf = createOwnerLookup(passwd);
  expect(await ownerOf(1000)).toBe('alice');
  expect(await ownerOf(4711)).toBe('4711');
  await appendFile(passwd, 'bob:x:1001:1001::/home/bob:/bin/sh\n');
  expect(await ownerOf(1001)).toBe('bob');
  expect(await createOwnerLookup(folder.at('missing'))(0)).toBe('0');
});
