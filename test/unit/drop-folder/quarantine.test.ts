import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { v7 as uuidv7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDisposer } from '../../../src/drop-folder/dispose.ts';
import { identityAt, makeInside } from '../../../src/drop-folder/folder.ts';
import { type Folders, openFolders } from '../../../src/drop-folder/folders.ts';
import {
  countQuarantined,
  putBackQuarantined,
  quarantinedAs,
  quarantinedFiles,
} from '../../../src/drop-folder/quarantine.ts';
import { createNameReserver } from '../../../src/drop-folder/reserve-name.ts';
import type { RelativePath } from '../../../src/model.ts';
import { bytesOf, nameOf, parentOf, pathFromBytes, pathFromText, textOf } from '../../../src/service/path-bytes.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
let folders: Folders;
beforeEach(async () => {
  folder = await tempFolder();
  for (const name of ['inbox', 'quarantine']) await mkdir(folder.at(name));
  const paths = { path: folder.at('inbox'), quarantinePath: folder.at('quarantine'), afterUpload: 'keep' } as const;
  folders = await openFolders(paths);
});
afterEach(() => folder[Symbol.asyncDispose]());

const inInbox = (path: RelativePath) => Buffer.concat([Buffer.from(folder.at('inbox/')), bytesOf(path)]);

/** Drops a file and quarantines it, as the daemon does. */
async function quarantine(path: string, content = 'content'): Promise<string> {
  return await quarantineAt(pathFromText(path), content);
}

async function quarantineAt(at: RelativePath, content = 'content'): Promise<string> {
  const parent = await makeInside(folders.dropFolder, parentOf(at));
  await parent[Symbol.asyncDispose]();
  await writeFile(inInbox(at), content);
  const identity = await identityAt(folders.dropFolder, at);
  if (identity === undefined) throw new Error('it is not there');
  const ledgerId = uuidv7();
  const disposition = { kind: 'quarantine', reason: 'too odd', hint: 'Rename it.', ledgerId } as const;
  const file = { path: at, identity, disposition };
  const done = await createDisposer({ folders, afterUpload: 'keep', settleMs: 0 })([file]);
  expect(done.get(file)?.kind).toBe('moved');
  return ledgerId;
}

const all = () => Array.fromAsync(quarantinedFiles(folders.quarantine));
const listing = async (name: string) =>
  (await readdir(folder.at(name), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.at(name).length + 1))
    .sort();

test('what is quarantined is found, with its reason, and goes back where it came from', async () => {
  const ledgerId = await quarantine('a/b/odd.txt', 'precious');
  const [file] = await quarantinedAs(folders.quarantine, pathFromText('a/b/odd.txt'));
  expect(file).toEqual({ at: 'a/b/odd.txt', path: 'a/b/odd.txt', reason: 'too odd', hint: 'Rename it.', ledgerId });
  expect(file && (await putBackQuarantined(folders, file))).toBeUndefined();
  expect(await readFile(folder.at('inbox/a/b/odd.txt'), 'utf8')).toBe('precious');
  expect(await listing('quarantine')).toEqual([]);
  expect(await all()).toEqual([]);
});

test('its folder may be gone from the drop folder: it is made again', async () => {
  await quarantine('a/b/odd.txt');
  await rm(folder.at('inbox/a'), { recursive: true });
  const [file] = await all();
  expect(file && (await putBackQuarantined(folders, file))).toBeUndefined();
  expect(await listing('inbox')).toEqual(['a/b/odd.txt']);
});

test.each(['a file', 'a folder', 'a dangling symlink'])(
  '%s of its name in the drop folder is never replaced',
  async (what) => {
    await quarantine('odd.txt', 'quarantined');
    if (what === 'a file') await writeFile(folder.at('inbox/odd.txt'), 'another');
    if (what === 'a folder') await mkdir(folder.at('inbox/odd.txt'));
    if (what === 'a dangling symlink') await symlink('nowhere', folder.at('inbox/odd.txt'));
    const [file] = await all();
    expect(file && (await putBackQuarantined(folders, file))).toBe('a file of that name is in the drop folder');
    expect(await readFile(folder.at('quarantine/odd.txt'), 'utf8')).toBe('quarantined');
    expect(await listing('quarantine')).toEqual(['odd.txt', 'odd.txt.reason.json']);
    if (what === 'a file') expect(await readFile(folder.at('inbox/odd.txt'), 'utf8')).toBe('another');
  },
);

test('a symlink where its folder was leads it nowhere', async () => {
  await quarantine('sub/odd.txt');
  await rm(folder.at('inbox/sub'), { recursive: true });
  await mkdir(folder.at('elsewhere'));
  await symlink(folder.at('elsewhere'), folder.at('inbox/sub'));
  const [file] = await all();
  expect(file && (await putBackQuarantined(folders, file))).toContain('symlink');
  expect(await listing('elsewhere')).toEqual([]);
  expect(await listing('quarantine')).toHaveLength(2);
});

test('files of one name are put back one after the other, the first one first', async () => {
  const path = pathFromText('again.txt');
  const ids = [
    await quarantineAt(path, 'first'),
    await quarantineAt(path, 'second'),
    await quarantineAt(path, 'third'),
  ];
  const found = await quarantinedAs(folders.quarantine, path);
  expect(found.map(({ ledgerId }) => ledgerId)).toEqual(ids);
  const left = await Promise.all(found.map((file) => putBackQuarantined(folders, file)));
  expect(left.filter((reason) => reason === undefined)).toHaveLength(1);
  expect(await listing('inbox')).toEqual(['again.txt']);
  expect(await quarantinedAs(folders.quarantine, path)).toHaveLength(2);
});

const longName = 'ñ'.repeat(127);
test.each([
  ['not UTF-8', pathFromBytes(Buffer.from([0x69, 0xe9, 0x0a, 0x5c]))],
  ['as long as a name can be', pathFromText(`sub/${longName}`)],
  ['with a backslash, and what looks like an escape', pathFromText('a\\b\\xE9.txt')],
  ['like a reason', pathFromText('odd.reason.json')],
  ['like an option', pathFromText('-rf')],
])('a name %s comes back as it was', async (_what, path) => {
  await quarantineAt(path);
  const found = await all();
  expect(found.map((file) => textOf(file.path))).toEqual([textOf(path)]);
  expect(await quarantinedAs(folders.quarantine, path)).toEqual(found);
  expect(found[0] && (await putBackQuarantined(folders, found[0]))).toBeUndefined();
  expect(await identityAt(folders.dropFolder, path)).toBeDefined();
});

test.each([
  ['out of the drop folder', '../outside.txt'],
  ['to the root', '/etc/odd'],
  ['another name', 'other.txt'],
  ['another folder', 'sub/odd'],
])('a file that somebody dropped, called like a reason, cannot send its neighbour %s', async (_what, claimed) => {
  await writeFile(folder.at('quarantine/odd'), 'x');
  const claim = { path: claimed, reason: 'r', hint: 'h', ledgerId: uuidv7() };
  await writeFile(folder.at('quarantine/odd.reason.json'), JSON.stringify(claim));
  const found = await all();
  expect(found.filter(({ path }) => path === claimed && nameOf(path) !== 'odd')).toEqual([]);
  expect(found.filter(({ path }) => path.startsWith('/') || path.includes('..'))).toEqual([]);
});

test.each(['', '{', 'null', '[]', '{"path":1}', '{"path":"odd"}', 'x'.repeat(70_000)])(
  'a reason that is none (%#) is passed over',
  async (text) => {
    await writeFile(folder.at('quarantine/odd'), 'x');
    await writeFile(folder.at('quarantine/odd.reason.json'), text);
    await quarantine('fine.txt');
    expect((await all()).map(({ path }) => path)).toEqual(['fine.txt']);
  },
);

test('what is on its way to quarantine, or waits there to be deleted, is not in it', async () => {
  await quarantine('there.txt');
  const handle = await makeInside(folders.quarantine, '' as RelativePath);
  const reserver = createNameReserver(handle);
  await reserver.take(pathFromText('coming.txt'));
  const coming = { path: 'coming.txt', reason: 'r', hint: 'h', ledgerId: uuidv7() };
  await writeFile(folder.at('quarantine/coming.txt.reason.json'), JSON.stringify(coming));
  await mkdir(folder.at('quarantine/.deleting'));
  await writeFile(folder.at('quarantine/.deleting/x.reason.json'), JSON.stringify(coming));
  expect((await all()).map(({ path }) => path)).toEqual(['there.txt']);
  await handle[Symbol.asyncDispose]();
});

test('they are counted, but not beyond what was asked', async () => {
  for (const path of ['a', 'b', 'sub/c', 'sub/deep/d']) await quarantine(path);
  expect(await countQuarantined(folders.quarantine, 100)).toBe(4);
  expect(await countQuarantined(folders.quarantine, 2)).toBe(2);
});
