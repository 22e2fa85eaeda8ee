import {
  appendFile,
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { v7 as uuidv7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DisposableFile, DisposeOptions } from '../../../src/drop-folder/dispose.ts';
import { createBatchDisposer } from '../../../src/drop-folder/dispose-in-batches.ts';
import { identityAt, openFolder } from '../../../src/drop-folder/folder.ts';
import { openFolders } from '../../../src/drop-folder/folders.ts';
import type { Disposition, RelativePath } from '../../../src/model.ts';
import { bytesOf, pathFromText } from '../../../src/service/path-bytes.ts';
import { runAsNobody } from '../../support/as-nobody.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';
import { identityOf } from '../../support/test-journal.ts';

let folder: TempFolder;
let opened: AsyncDisposableStack;
/** Set by the suite: with 1 all goes to the other thread. */
let leastForThread: number;
beforeEach(async () => {
  opened = new AsyncDisposableStack();
  folder = await tempFolder();
  for (const name of ['inbox', 'archive', 'quarantine']) await mkdir(folder.at(name));
});
afterEach(async () => {
  await opened.disposeAsync();
  await folder[Symbol.asyncDispose]();
});

const ledgerId = uuidv7();
const uploaded: Disposition = { kind: 'after-upload', ledgerId };
const rejected: Disposition = { kind: 'quarantine', reason: 'the key is too long', hint: 'Shorten it.', ledgerId };

const openDisposer = async (
  afterUpload: DisposeOptions['afterUpload'],
  options: Partial<Pick<DisposeOptions, 'settleMs' | 'graceOver'>> = {},
) => {
  const folders = await openFolders({
    path: folder.at('inbox'),
    archivePath: folder.at('archive'),
    quarantinePath: folder.at('quarantine'),
    afterUpload,
  });
  const disposer = createBatchDisposer({ folders, afterUpload, settleMs: 0, leastForThread, ...options });
  opened.use(disposer);
  return disposer.dispose;
};

const inInbox = (path: RelativePath) => Buffer.concat([Buffer.from(folder.at('inbox/')), bytesOf(path)]);

/** A file in the drop folder, recorded as it is now. */
async function recorded(path: string, disposition = uploaded, content = 'content'): Promise<DisposableFile> {
  await mkdir(dirname(folder.at('inbox', path)), { recursive: true });
  return recordedAt(pathFromText(path), disposition, content);
}

async function recordedAt(path: RelativePath, disposition = uploaded, content = 'content'): Promise<DisposableFile> {
  await writeFile(inInbox(path), content);
  return settledAs(path, disposition);
}

async function settledAs(path: RelativePath, disposition = uploaded): Promise<DisposableFile> {
  const inbox = await openFolder(folder.at('inbox'), 'inbox');
  return { path, identity: (await identityAt(inbox, path)) ?? identityOf(), disposition };
}

const disposeOf = async (afterUpload: DisposeOptions['afterUpload'], ...files: DisposableFile[]) => {
  const done = await (await openDisposer(afterUpload))(files);
  return files.map((file) => done.get(file));
};
const content = (path: string) => readFile(folder.at(path), 'utf8');
/** All files below, by path. */
const listing = async (path: string) =>
  (await readdir(folder.at(path), { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.at(path).length + 1))
    .sort();

describe.each([
  { where: 'by the pool', least: Number.POSITIVE_INFINITY },
  { where: 'on a thread of its own', least: 1 },
])('$where', ({ least }) => {
  beforeEach(() => {
    leastForThread = least;
  });

  test('archive keeps the relative path and the bytes', async () => {
    const files = [await recorded('top'), await recorded('a/b/deep.txt'), await recorded('a/b/other.txt')];
    expect((await disposeOf('archive', ...files)).map((disposal) => disposal?.kind)).toEqual([
      'moved',
      'moved',
      'moved',
    ]);
    expect(await listing('archive')).toEqual(['a/b/deep.txt', 'a/b/other.txt', 'top']);
    expect(await listing('inbox')).toEqual([]);
    expect(await content('archive/a/b/deep.txt')).toBe('content');
  });

  test('keep leaves the file where it is', async () => {
    expect(await disposeOf('keep', await recorded('file'))).toEqual([{ kind: 'kept' }]);
    expect(await listing('inbox')).toEqual(['file']);
  });

  test('a namesake in the archive is never replaced: the row id makes the name', async () => {
    await writeFile(folder.at('archive/report.pdf'), 'an older one');
    await disposeOf('archive', await recorded('report.pdf', uploaded, 'the new one'));
    expect(await content('archive/report.pdf')).toBe('an older one');
    expect(await content(`archive/report~${ledgerId}.pdf`)).toBe('the new one');
  });

  test('a namesake that is empty, or a folder, or a symlink, is no free name either', async () => {
    await using outside = await tempFolder();
    await writeFile(folder.at('archive/empty'), '');
    await mkdir(folder.at('archive/folder'));
    await symlink(outside.at('target'), folder.at('archive/link'));
    await disposeOf('archive', ...[await recorded('empty'), await recorded('folder'), await recorded('link')]);
    expect(await content('archive/empty')).toBe('');
    expect((await lstat(folder.at('archive/link'))).isSymbolicLink()).toBe(true);
    expect(await readdir(outside.path)).toEqual([]);
    for (const name of ['empty', 'folder', 'link'])
      expect(await content(`archive/${name}~${ledgerId}`)).toBe('content');
  });

  test('where a file is in the way of a folder of the archive, the file goes to its top', async () => {
    await writeFile(folder.at('archive/a'), 'in the way');
    await disposeOf('archive', await recorded('a/b/file.txt'));
    expect(await listing('archive')).toEqual(['a', `file~${ledgerId}.txt`]);
  });

  test('a symlink in the archive leads no file out of it', async () => {
    await using outside = await tempFolder();
    await symlink(outside.path, folder.at('archive/a'));
    await disposeOf('archive', await recorded('a/file'));
    expect(await readdir(outside.path)).toEqual([]);
    expect(await content(`archive/file~${ledgerId}`)).toBe('content');
  });

  test('a name of 255 bytes that is taken is cut, in no character of it', async () => {
    const name = `${'ä'.repeat(125)}x.txt`;
    expect(Buffer.byteLength(name)).toBe(255);
    await writeFile(folder.at('archive', name), 'an older one');
    await disposeOf('archive', await recorded(name));
    const [first = '', second = ''] = await listing('archive');
    const cut = [first, second].find((path) => path !== name) ?? '';
    expect(cut).toMatch(/^ä+~[0-9a-f-]{36}\.txt$/);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(255);
  });

  test('a name that a crash left reserved is used', async () => {
    const handle = await open(folder.at('archive/file'), 'wx', 0);
    await handle.close();
    await disposeOf('archive', await recorded('file'));
    expect(await listing('archive')).toEqual(['file']);
    expect(await content('archive/file')).toBe('content');
  });

  test('a batch leaves nothing but its files, whatever happens to some of them', async () => {
    const names = ['a', 'gone', 'b', 'taken', 'c', 'replaced', 'd', 'last-gone'];
    const files = await Promise.all(names.map((name) => recorded(name)));
    await writeFile(folder.at('archive/taken'), 'an older one');
    for (const name of ['gone', 'last-gone']) await rm(folder.at('inbox', name));
    await rm(folder.at('inbox/replaced'));
    await writeFile(folder.at('inbox/replaced'), 'another');
    const outcomes = (await disposeOf('archive', ...files)).map((outcome) => outcome?.kind);
    expect(outcomes).toEqual(['moved', 'gone', 'moved', 'moved', 'moved', 'gone', 'moved', 'gone']);
    expect(await listing('archive')).toEqual(['a', 'b', 'c', 'd', 'taken', `taken~${ledgerId}`]);
    expect(await content('archive/taken')).toBe('an older one');
    expect(await listing('inbox')).toEqual(['replaced']);
  });

  test.each(['archive', 'delete'] as const)(
    '%s: a file that was replaced after its upload stays',
    async (afterUpload) => {
      const file = await recorded('file');
      await writeFile(folder.at('new'), 'another');
      await rename(folder.at('new'), folder.at('inbox/file'));
      expect(await disposeOf(afterUpload, file)).toEqual([{ kind: 'gone' }]);
      expect(await content('inbox/file')).toBe('another');
      expect(await listing('archive')).toEqual([]);
    },
  );

  test('a file that is gone, or became a folder or a symlink, is gone', async () => {
    const files = [await recorded('a'), await recorded('b'), await recorded('c'), await recorded('d/e')];
    await rm(folder.at('inbox/a'));
    await rm(folder.at('inbox/b'));
    await mkdir(folder.at('inbox/b'));
    await rename(folder.at('inbox/c'), folder.at('c'));
    await symlink(folder.at('c'), folder.at('inbox/c'));
    await rename(folder.at('inbox/d'), folder.at('d'));
    await symlink(folder.at('d'), folder.at('inbox/d'));
    const disposals = await disposeOf('archive', ...files);
    expect(disposals.map((disposal) => disposal?.kind)).toEqual(['gone', 'gone', 'gone', 'gone']);
    expect(await listing('archive')).toEqual([]);
    expect(await content('d/e')).toBe('content');
  });

  test('quarantine: the reason lies beside the file', async () => {
    await disposeOf('keep', await recorded('a/file.txt', rejected));
    expect(await listing('quarantine')).toEqual(['a/file.txt', 'a/file.txt.reason.json']);
    expect(JSON.parse(await content('quarantine/a/file.txt.reason.json'))).toEqual({
      path: 'a/file.txt',
      reason: 'the key is too long',
      hint: 'Shorten it.',
      ledgerId,
    });
  });

  test('quarantine: a long name is cut so that the reason still finds room, also where it is no UTF-8', async () => {
    const long = 'x'.repeat(250);
    const hostile = `caf\xe9${'\xff'.repeat(251)}` as RelativePath;
    await disposeOf(
      'archive',
      await recorded(long, rejected),
      await recordedAt(hostile, { ...rejected, ledgerId: uuidv7() }),
    );
    const names = await readdir(folder.at('quarantine'), { encoding: 'buffer' });
    expect(names).toHaveLength(4);
    expect(Math.max(...names.map((name) => name.length))).toBeLessThanOrEqual(255);
    const reasons = names.filter((name) => name.toString().endsWith('.reason.json'));
    const paths = await Promise.all(
      reasons.map(async (name) => {
        const entry = Buffer.concat([Buffer.from(folder.at('quarantine/')), name]);
        return (JSON.parse(await readFile(entry, 'utf8')) as { path: string }).path;
      }),
    );
    expect(paths.sort()).toEqual([`caf\\xE9${'\\xFF'.repeat(251)}`, long].sort());
  });

  test('quarantine: neither a namesake nor the reason of one is replaced', async () => {
    await writeFile(folder.at('quarantine/one'), 'older');
    await writeFile(folder.at('quarantine/two.reason.json'), '{"an older": "reason"}');
    await disposeOf('archive', await recorded('one', rejected), await recorded('two', rejected));
    expect(await content('quarantine/one')).toBe('older');
    expect(await content('quarantine/two.reason.json')).toBe('{"an older": "reason"}');
    expect(await listing('quarantine')).toEqual(
      [
        'one',
        `one~${ledgerId}`,
        `one~${ledgerId}.reason.json`,
        'two.reason.json',
        `two~${ledgerId}`,
        `two~${ledgerId}.reason.json`,
      ].sort(),
    );
  });

  test('quarantine: what a crash or a full disk left of the reason does not hold the file up', async () => {
    const file = await recorded('file', rejected);
    await writeFile(folder.at('quarantine/file.reason.json'), '{\n  "path": "fi');
    await disposeOf('archive', file);
    expect(await listing('quarantine')).toEqual(['file', 'file.reason.json']);
    expect(JSON.parse(await content('quarantine/file.reason.json'))).toMatchObject({ path: 'file' });
  });

  test('delete: the file is gone after the second look', async () => {
    expect((await disposeOf('delete', await recorded('a/file')))[0]?.kind).toBe('moved');
    expect([...(await listing('inbox')), ...(await listing('quarantine'))]).toEqual([]);
  });

  test('delete: a file that somebody still writes to comes back', async () => {
    const file = await recorded('file');
    const writer = await open(folder.at('inbox/file'), 'a');
    const dispose = await openDisposer('delete', { settleMs: 200 });
    const disposing = dispose([file]);
    await expect.poll(() => listing('quarantine')).toEqual([`.deleting/${ledgerId}`]);
    await writer.appendFile(' and more');
    await writer.close();
    expect((await disposing).get(file)).toEqual({ kind: 'gone' });
    expect(await content('inbox/file')).toBe('content and more');
    expect(await listing('quarantine')).toEqual([]);
  });

  test('delete: what comes back replaces nothing, whatever its name', async () => {
    const hostile = 'new\nline \'"$(x) \xff\xfe' as RelativePath;
    const file = await recordedAt(hostile);
    const writer = await open(inInbox(hostile), 'a');
    const disposing = (await openDisposer('delete', { settleMs: 200 }))([file]);
    await expect.poll(() => listing('inbox')).toEqual([]);
    await writeFile(inInbox(hostile), 'a new one under the name');
    await writer.appendFile(' and more');
    await writer.close();
    await disposing;
    expect(await readFile(inInbox(hostile), 'utf8')).toBe('a new one under the name');
    const names = await readdir(folder.at('inbox'), { encoding: 'latin1' });
    const other = names.find((name) => name !== hostile) ?? '';
    expect(other.startsWith('new\nline \'"$(x) \xff\xfe~')).toBe(true);
    expect(await readFile(inInbox(other as RelativePath), 'utf8')).toBe('content and more');
  });

  test('delete: a file that a crash left half-way is deleted at the next start', async () => {
    const file = await recorded('file');
    await mkdir(folder.at('quarantine/.deleting'));
    await rename(folder.at('inbox/file'), folder.at('quarantine/.deleting', ledgerId));
    expect((await disposeOf('delete', file))[0]?.kind).toBe('moved');
    expect(await listing('quarantine')).toEqual([]);
  });

  test('delete: a file that a crash left half-way is deleted at the next start, its folder being gone meanwhile', async () => {
    const [same, other] = [
      await recorded('sub/same'),
      await recorded('sub/other', { ...uploaded, ledgerId: uuidv7() }),
    ];
    const waiting = folder.at('quarantine/.deleting');
    await mkdir(waiting);
    await rename(folder.at('inbox/sub/same'), `${waiting}/${ledgerId}`);
    await rename(folder.at('inbox/sub/other'), `${waiting}/${other.disposition.ledgerId}`);
    await appendFile(`${waiting}/${other.disposition.ledgerId}`, ' and more');
    await rm(folder.at('inbox/sub'), { recursive: true });
    expect(await disposeOf('delete', same, other)).toEqual([{ kind: 'moved', name: ledgerId }, { kind: 'gone' }]);
    expect(await listing('quarantine')).toEqual([]);
    expect(await content('inbox/other')).toBe('content and more');
  });

  test('delete: a name that a crash left reserved is no file, and never comes into the drop folder', async () => {
    const file = await recorded('file');
    await rm(folder.at('inbox/file'));
    await mkdir(folder.at('quarantine/.deleting'));
    await (await open(folder.at('quarantine/.deleting', ledgerId), 'wx', 0)).close();
    expect(await disposeOf('delete', file)).toEqual([{ kind: 'gone' }]);
    expect([...(await listing('inbox')), ...(await listing('quarantine'))]).toEqual([]);
  });

  test('delete: when the grace time is over the second look is left to the next start', async () => {
    const file = await recorded('file');
    const graceOver = new AbortController();
    const disposing = (await openDisposer('delete', { settleMs: 3_600_000, graceOver: graceOver.signal }))([file]);
    await expect.poll(() => listing('inbox')).toEqual([]);
    graceOver.abort();
    expect((await disposing).get(file)).toEqual({ kind: 'interrupted' });
    expect((await disposeOf('delete', file))[0]?.kind).toBe('moved');
    expect(await listing('quarantine')).toEqual([]);
  });

  test('a file with a second name keeps it', async () => {
    await recorded('file');
    await link(folder.at('inbox/file'), folder.at('second-name'));
    await disposeOf('archive', await settledAs(pathFromText('file')));
    expect(await content('second-name')).toBe('content');
  });

  test('a mode that changed after the upload does not matter', async () => {
    const file = await recorded('file');
    await chmod(folder.at('inbox/file'), 0o600);
    expect((await disposeOf('archive', file))[0]?.kind).toBe('moved');
  });

  test('a file that grew after its upload is not archived', async () => {
    const file = await recorded('file');
    await appendFile(folder.at('inbox/file'), 'more');
    expect(await disposeOf('archive', file)).toEqual([{ kind: 'gone' }]);
    expect(await content('inbox/file')).toBe('contentmore');
  });

  test('one bad folder holds up no other', async () => {
    const good = await recorded('good/file');
    const missing = await recorded('missing/file');
    await rm(folder.at('inbox/missing'), { recursive: true });
    expect((await disposeOf('archive', good, missing)).map((disposal) => disposal?.kind)).toEqual(['moved', 'gone']);
  });

  test('as a user without rights: what may not be moved, read or received stays, and says why', async () => {
    const outcome = await runAsNobody<Record<string, { kind: string; left: string[] }>>(
      `const { chmod, mkdir, readdir, writeFile } = await import('node:fs/promises');
     const { identityAt, openFolder } = await load('src/drop-folder/folder.ts');
     const { openFolders } = await load('src/drop-folder/folders.ts');
     const { createDisposer } = await load('src/drop-folder/dispose.ts');
     for (const name of ['inbox', 'archive', 'quarantine', 'inbox/readonly', 'inbox/closed', 'inbox/good', 'archive/good'])
       await mkdir(at(name));
     const folders = await openFolders({
       path: at('inbox'), archivePath: at('archive'), quarantinePath: at('quarantine'), afterUpload: 'archive',
     });
     const dispose = createDisposer({ folders, afterUpload: 'archive', settleMs: 0 });
     const one = async (name, before, after) => {
       await writeFile(at('inbox', name, 'file'), 'x');
       const identity = await identityAt(folders.dropFolder, name + '/file');
       await before();
       const file = { path: name + '/file', identity, disposition: { kind: 'after-upload', ledgerId: 'id' } };
       const { kind } = (await dispose([file])).get(file);
       await after();
       return { kind, left: await readdir(at('inbox', name)) };
     };
     return {
       readonly: await one('readonly', () => chmod(at('inbox/readonly'), 0o555), () => chmod(at('inbox/readonly'), 0o700)),
       closed: await one('closed', () => chmod(at('inbox/closed'), 0), () => chmod(at('inbox/closed'), 0o700)),
       good: await one('good', () => chmod(at('archive/good'), 0o555), () => chmod(at('archive/good'), 0o700)),
       archive: { kind: '', left: await readdir(at('archive'), { recursive: true }) },
     };`,
    );
    expect(outcome).toEqual({
      readonly: { kind: 'not-movable', left: ['file'] },
      closed: { kind: 'not-movable', left: ['file'] },
      good: { kind: 'failed', left: ['file'] }, // the archive's fault: it is tried again
      archive: { kind: '', left: expect.not.arrayContaining(['readonly/file', 'closed/file', 'good/file']) },
    });
  });

  test('while the drop folder is away nothing in it counts as gone: its files wait', async () => {
    const dispose = await openDisposer('archive');
    const file = await recorded('a/file.txt');
    await rename(folder.at('inbox'), folder.at('away'));
    expect((await dispose([file])).get(file)).toMatchObject({
      kind: 'failed',
      error: 'the drop folder is not there',
    });
    await rename(folder.at('away'), folder.at('inbox'));
    expect((await dispose([file])).get(file)).toMatchObject({ kind: 'moved' });
  });
});
