import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFolder, openInside } from '../../../src/drop-folder/folder.ts';
import { identityOfEntry, type Move, moveFile } from '../../../src/drop-folder/move.ts';
import { createNameReserver } from '../../../src/drop-folder/reserve-name.ts';
import type { RelativePath } from '../../../src/model.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';
import { identityOf } from '../../support/test-journal.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
  for (const name of ['from', 'to']) await mkdir(folder.at(name));
});
afterEach(() => folder[Symbol.asyncDispose]());

const top = '' as RelativePath;
const entry = (where: 'from' | 'to', name: string) =>
  Buffer.concat([Buffer.from(folder.at(where, '/')), Buffer.from(name, 'latin1')]);

/** Moves `name`, and does something at the last moment: after the look, before the rename. */
async function moveWhile(name: string, happen: () => Promise<unknown>) {
  await using from = await openInside(await openFolder(folder.at('from'), 'from'), top);
  await using to = await openInside(await openFolder(folder.at('to'), 'to'), top);
  const path = name as RelativePath;
  const identity = (await identityOfEntry(from, path)) ?? identityOf();
  const companion: Move['companion'] = {
    async write() {
      await happen();
      return true;
    },
    async remove() {},
  };
  await using reserver = createNameReserver(to);
  return await moveFile({ from, name: path, identity, to, names: [path], reserver, companion });
}

const names = async (where: 'from' | 'to') => (await readdir(folder.at(where), { encoding: 'latin1' })).sort();

test.each(['file', '-rf', 'new\nline', 'quote\'s "and" $(more) \\ %', 'caf\xe9\xff', '\xf0\x9f\x98\x80'])(
  'a file that came in between is put back under its name: %j',
  async (name) => {
    await writeFile(entry('from', name), 'uploaded');
    const outcome = await moveWhile(name, async () => {
      await writeFile(folder.at('new'), 'another');
      await rename(folder.at('new'), entry('from', name));
    });
    expect(outcome).toEqual({ kind: 'gone' });
    expect(await readFile(entry('from', name), 'utf8')).toBe('another');
    expect(await names('to')).toEqual([]);
  },
);

test('what came in between is put back as well where xargs and mv are not installed', async () => {
  await writeFile(entry('from', 'file'), 'uploaded');
  const { PATH } = process.env;
  try {
    const outcome = await moveWhile('file', async () => {
      await writeFile(folder.at('new'), 'another');
      await rename(folder.at('new'), entry('from', 'file'));
      process.env['PATH'] = folder.at('nowhere');
    });
    expect(outcome).toEqual({ kind: 'gone' });
  } finally {
    process.env['PATH'] = PATH;
  }
  expect(await readFile(entry('from', 'file'), 'utf8')).toBe('another');
  expect(await names('to')).toEqual([]);
});

test('a symlink that came in between is put back, and what it leads to is left alone', async () => {
  await writeFile(entry('from', 'file'), 'uploaded');
  await writeFile(folder.at('secret'), 'secret');
  await moveWhile('file', async () => {
    await rm(entry('from', 'file'));
    await symlink(folder.at('secret'), entry('from', 'file'));
  });
  expect((await lstat(entry('from', 'file'))).isSymbolicLink()).toBe(true);
  expect(await names('to')).toEqual([]);
  expect(await readFile(folder.at('secret'), 'utf8')).toBe('secret');
});

test.each([
  ['vanished', async () => rm(entry('from', 'file')), []],
  [
    'became a folder',
    async () => {
      await rm(entry('from', 'file'));
      await mkdir(entry('from', 'file'));
    },
    ['file'],
  ],
])('a file that %s in between is gone, and its name in the target is free again', async (_how, happen, left) => {
  await writeFile(entry('from', 'file'), 'uploaded');
  expect(await moveWhile('file', happen)).toEqual({ kind: 'gone' });
  expect(await names('from')).toEqual(left);
  expect(await names('to')).toEqual([]);
});

test('a target that was deleted in between is a failure, not the file gone', async () => {
  await writeFile(entry('from', 'file'), 'uploaded');
  const moving = moveWhile('file', async () => execFileSync('rm', ['-rf', folder.at('to')]));
  await expect(moving).rejects.toThrow('ENOENT');
  expect(await names('from')).toEqual(['file']);
});

test('a companion that cannot be written leaves no name taken', async () => {
  await writeFile(entry('from', 'file'), 'uploaded');
  const moving = moveWhile('file', async () => {
    throw new Error('ENOSPC');
  });
  await expect(moving).rejects.toThrow('ENOSPC');
  expect(await names('to')).toEqual([]);
  expect(await names('from')).toEqual(['file']);
});
