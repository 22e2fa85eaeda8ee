import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFolder } from '../../../src/drop-folder/folder.ts';
import { createIgnoreName } from '../../../src/drop-folder/ignore.ts';
import { scan } from '../../../src/drop-folder/scan.ts';
import type { RelativePath } from '../../../src/model.ts';
import { textOf } from '../../../src/service/path-bytes.ts';
import { runAsNobody } from '../../support/as-nobody.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const never = new AbortController().signal;

async function found(globs: readonly string[] = [], onFile: (path: RelativePath) => Promise<void> | void = () => {}) {
  const files: RelativePath[] = [];
  const unreadable: RelativePath[] = [];
  const totals = await scan(
    {
      folder: await openFolder(folder.path, 'folder'),
      ignore: createIgnoreName(globs),
      async onFile(path) {
        files.push(path);
        await onFile(path);
      },
      onUnreadable: (path) => unreadable.push(path),
    },
    never,
  );
  return { files: files.sort(), unreadable, totals };
}

test('every file at every depth is found, and empty folders are counted', async () => {
  await mkdir(folder.at('a/b/c'), { recursive: true });
  await mkdir(folder.at('empty'));
  for (const path of ['top', 'a/one', 'a/b/two', 'a/b/c/three']) await writeFile(folder.at(path), '');
  const { files, totals } = await found();
  expect(files).toEqual(['a/b/c/three', 'a/b/two', 'a/one', 'top']);
  expect(totals).toEqual({ files: 4, folders: 5, ignored: 0, special: 0, unreadable: 0 });
});

test('hostile names are found byte for byte', async () => {
  const names = [
    Buffer.from('new\nline'),
    Buffer.from('tab\tand \x1b[31mcolour'),
    Buffer.from([0x63, 0x61, 0x66, 0xe9, 0xff]), // no UTF-8
    Buffer.from('-rf'),
    Buffer.from('..almost'),
    Buffer.from('a\\b"c\'d`$(e)'),
    Buffer.from('e\u0301'), // NFD
    Buffer.from('\u00e9'), // NFC
    Buffer.alloc(255, 'x'),
    Buffer.from('%2F😀'),
  ];
  for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${folder.path}/`), name]), '');
  const { files } = await found();
  expect(files).toEqual(names.map((name) => name.toString('latin1')).sort());
});

test('an ignored folder hides its contents and counts once', async () => {
  await mkdir(folder.at('.git/objects'), { recursive: true });
  for (const path of ['.git/config', '.git/objects/x', 'a.tmp', 'b']) await writeFile(folder.at(path), '');
  const { files, totals } = await found(['.*', '*.tmp']);
  expect(files).toEqual(['b']);
  expect(totals.ignored).toBe(2);
});

test('symlinks are never followed, and a FIFO or a socket is never opened', async () => {
  await using outside = await tempFolder();
  await writeFile(outside.at('secret'), 'secret');
  await symlink(outside.at('secret'), folder.at('to-a-file'));
  await symlink(outside.path, folder.at('to-a-folder'));
  await symlink('.', folder.at('loop'));
  execFileSync('mkfifo', [folder.at('fifo')]);
  await using server = createServer().listen(folder.at('socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  const { files, totals } = await found();
  expect(files).toEqual([]);
  expect(totals.special).toBe(5);
});

test('a folder that is moved away during the scan is no trouble', async () => {
  for (const name of ['a', 'b', 'c']) {
    await mkdir(folder.at(name));
    await writeFile(folder.at(name, 'file'), '');
  }
  let isFirst = true;
  const { files, totals } = await found([], async (path) => {
    if (!isFirst) return;
    isFirst = false;
    for (const name of ['a', 'b', 'c']) if (!path.startsWith(name)) await rm(folder.at(name), { recursive: true });
  });
  expect(files).toHaveLength(1);
  expect(totals.unreadable).toBe(0);
});

test('a folder 200 levels deep is walked to its end', async () => {
  const deep = Array.from({ length: 200 }, () => 'd').join('/');
  await mkdir(folder.at(deep), { recursive: true });
  await writeFile(folder.at(deep, 'file'), '');
  expect((await found()).files).toEqual([`${deep}/file`]);
});

test('a path longer than the system takes is told, and hides nothing else', async () => {
  await writeFile(folder.at('file'), '');
  const long = 'x'.repeat(250);
  execFileSync('sh', [
    '-c',
    `cd '${folder.path}' && for i in $(seq 20); do mkdir ${long} && cd -P ${long}; done; touch deep`,
  ]);
  const { files, unreadable } = await found();
  expect(files).toEqual(['file']);
  expect(unreadable).toHaveLength(1);
  await rename(folder.at(long), folder.at('x'));
  execFileSync('rm', ['-rf', folder.at('x')]);
});

test('a folder that may not be read is told; the rest is found', async () => {
  const { unreadable, files } = await runAsNobody<{ unreadable: string[]; files: string[] }>(
    `const { chmod, mkdir, writeFile } = await import('node:fs/promises');
     const { openFolder } = await load('src/drop-folder/folder.ts');
     const { scan } = await load('src/drop-folder/scan.ts');
     for (const name of ['open', 'closed']) {
       await mkdir(at(name));
       await writeFile(at(name, 'file'), '');
     }
     await chmod(at('closed'), 0);
     const files = [], unreadable = [];
     await scan({
       folder: await openFolder(at(), 'folder'),
       ignore: () => undefined,
       onFile: (path) => void files.push(path),
       onUnreadable: (path) => void unreadable.push(path),
     }, new AbortController().signal);
     await chmod(at('closed'), 0o700);
     return { files, unreadable };`,
  );
  expect({ unreadable, files }).toEqual({ unreadable: ['closed'], files: ['open/file'] });
});

test('an error of the one who takes the files ends the scan', async () => {
  await writeFile(folder.at('file'), '');
  const failing = found([], () => {
    throw new Error('the journal is closed');
  });
  await expect(failing).rejects.toThrow('the journal is closed');
});

test('a scan that is given up ends at the next entry', async () => {
  for (const name of ['a', 'b']) await writeFile(folder.at(name), '');
  const stop = new AbortController();
  const seen: string[] = [];
  const scanning = scan(
    {
      folder: await openFolder(folder.path, 'folder'),
      ignore: () => undefined,
      onFile(path) {
        seen.push(textOf(path));
        stop.abort(new Error('stopping'));
      },
      onUnreadable: () => {},
    },
    stop.signal,
  );
  await expect(scanning).rejects.toThrow('stopping');
  expect(seen).toHaveLength(1);
});
