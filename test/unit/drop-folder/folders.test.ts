import { mkdir, readdir, realpath, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFolder } from '../../../src/drop-folder/folder.ts';
import { type FolderPaths, openFolders, tookFilesBefore } from '../../../src/drop-folder/folders.ts';
import { pruneArchive, removeEmptyFolders } from '../../../src/drop-folder/tidy.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
  await mkdir(folder.at('inbox'));
});
afterEach(() => folder[Symbol.asyncDispose]());

const never = new AbortController().signal;
const openAll = (changes: Partial<FolderPaths> = {}) =>
  openFolders({
    path: folder.at('inbox'),
    archivePath: folder.at('archive'),
    quarantinePath: folder.at('quarantine'),
    afterUpload: 'archive',
    ...changes,
  });
const problem = (key: string, text: string) => ({
  name: 'ConfigError',
  message: expect.stringMatching(`^${key}.*${text}`),
});

test('archive and quarantine are made where they are missing; nothing is made in the drop folder', async () => {
  await openAll();
  expect((await readdir(folder.path)).sort()).toEqual(['archive', 'inbox', 'quarantine']);
  for (const name of ['archive', 'inbox', 'quarantine']) expect(await readdir(folder.at(name))).toEqual([]);
});

test.each(['archive', 'quarantine'])('a file in the %s tells of an earlier start', async (name) => {
  const folders = await openAll();
  expect(await tookFilesBefore(folders)).toBe(false);
  await writeFile(folder.at(name, 'earlier.txt'), 'moved here');
  expect(await tookFilesBefore(folders)).toBe(true);
});

test('no archive is made where nothing is archived', async () => {
  expect((await openAll({ afterUpload: 'keep' })).archive).toBeUndefined();
  expect(await readdir(folder.path)).not.toContain('archive');
});

test('a drop folder that is missing, or no folder, is told by its key', async () => {
  await expect(openAll({ path: folder.at('missing') })).rejects.toMatchObject(problem('dropFolder.path', 'ENOENT'));
  await writeFile(folder.at('file'), '');
  await expect(openAll({ path: folder.at('file') })).rejects.toMatchObject(
    problem('dropFolder.path', 'is not a folder'),
  );
});

test('a symlink to the drop folder is resolved once', async () => {
  await symlink(folder.at('inbox'), folder.at('link'));
  const { dropFolder } = await openAll({ path: folder.at('link') });
  expect(dropFolder.path.toString()).toBe(await realpath(folder.at('inbox')));
});

test('folders that lie in one another by a symlink are refused: what is moved would be found again', async () => {
  await mkdir(folder.at('inbox/inner'));
  await symlink(folder.at('inbox/inner'), folder.at('link'));
  await expect(openAll({ archivePath: folder.at('link') })).rejects.toMatchObject(
    problem('dropFolder.archivePath', 'lie in one another'),
  );
  await expect(openAll({ quarantinePath: folder.at('link') })).rejects.toMatchObject(
    problem('dropFolder.quarantinePath', 'lie in one another'),
  );
});

test('a folder whose name only begins alike is another folder', async () => {
  await openAll({ archivePath: folder.at('inbox-archive') });
});

test('a target on another mount is refused before the first file', async ({ skip }) => {
  const other = '/dev/shm';
  const otherDev = await openFolder(other, 'other').catch(() => undefined);
  if (otherDev === undefined || otherDev.dev === (await openFolder(folder.path, 'here')).dev) skip();
  const quarantinePath = `${other}/dropledger-test-${process.pid}`;
  try {
    await expect(openAll({ quarantinePath })).rejects.toMatchObject(problem('dropFolder.quarantinePath', 'EXDEV'));
  } finally {
    await rm(quarantinePath, { recursive: true });
  }
});

test('empty folders are removed with those above them; what holds anything stays', async () => {
  await mkdir(folder.at('inbox/a/b/c'), { recursive: true });
  await mkdir(folder.at('inbox/full/empty'), { recursive: true });
  await writeFile(folder.at('inbox/full/file'), '');
  const inbox = await openFolder(folder.at('inbox'), 'inbox');
  await removeEmptyFolders(inbox, ['a/b/c', 'a/b', 'full/empty', 'full', 'gone'].map(pathFromText), never);
  expect(await readdir(folder.at('inbox'))).toEqual(['full']);
  expect(await readdir(folder.at('inbox/full'))).toEqual(['file']);
});

test('no symlink leads the removal of empty folders elsewhere', async () => {
  await mkdir(folder.at('elsewhere/b'), { recursive: true });
  await symlink(folder.at('elsewhere'), folder.at('inbox/a'));
  const inbox = await openFolder(folder.at('inbox'), 'inbox');
  await removeEmptyFolders(inbox, [pathFromText('a/b')], never);
  expect(await readdir(folder.at('elsewhere'))).toEqual(['b']);
});

test('archived files are removed by when they were moved there, not by how old they are', async () => {
  await mkdir(folder.at('archive/a'), { recursive: true });
  await writeFile(folder.at('archive/a/old'), '');
  await utimes(folder.at('archive/a/old'), 1, 1);
  await symlink(folder.at('inbox'), folder.at('archive/link'));
  await writeFile(folder.at('inbox/file'), '');
  const archive = await openFolder(folder.at('archive'), 'archive');
  expect(await pruneArchive(archive, new Date(Date.now() - 60_000), never)).toBe(0);
  expect(await pruneArchive(archive, new Date(Date.now() + 60_000), never)).toBe(1);
  expect(await readdir(folder.at('archive'))).toEqual(['link']);
  expect(await readdir(folder.at('inbox'))).toEqual(['file']);
});
