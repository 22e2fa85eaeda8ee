import { execFileSync } from 'node:child_process';
import { cp, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identityAt, openFolder } from '../../../src/drop-folder/folder.ts';
import { createIntake, type IntakeOptions, type Known } from '../../../src/drop-folder/intake.ts';
import type { RelativePath, SettledFile } from '../../../src/model.ts';
import { runAsNobody } from '../../support/as-nobody.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
  await mkdir(folder.at('inbox'));
});
afterEach(() => folder[Symbol.asyncDispose]());

const patience = { timeout: 8000 };
const hourly = () => 3600;
const inbox = (...segments: string[]) => folder.at('inbox', ...segments);

/** An intake over the real folder that knows what it has handed over, as the journal does. */
async function open(options: Partial<IntakeOptions> = {}) {
  const log = recordingLog();
  const settled: SettledFile[] = [];
  const known = new Map<RelativePath, Known>();
  let scans = 0;
  const intake = createIntake({
    folder: await openFolder(inbox(), 'folder'),
    ignore: ['.*', '*.tmp'],
    settleMs: 0,
    rescanSeconds: hourly,
    onNetwork: false,
    log,
    known: (path) => known.get(path),
    async onSettled(files) {
      settled.push(...files.filter(({ path }) => !known.has(path)));
      for (const { path } of files) known.set(path, { kind: 'waits' });
    },
    async afterScan() {
      scans += 1;
    },
    ...options,
  });
  return { intake, log, settled, known, scans: () => scans, paths: () => settled.map(({ path }) => path).sort() };
}

test('files that are there at the start are taken in by the first scan', async () => {
  await mkdir(inbox('a/b'), { recursive: true });
  for (const path of ['one', 'a/two', 'a/b/three', '.hidden', 'x.tmp']) await writeFile(inbox(path), '');
  const { intake, paths } = await open();
  await using _ = intake;
  await intake.firstScan;
  await expect.poll(paths).toEqual(['a/b/three', 'a/two', 'one']);
  expect(intake.lastScan()).toMatchObject({ files: 3, ignored: 2, folders: 3 });
});

test('a file dropped later, and one renamed in, are taken in by events', async () => {
  const { intake, paths } = await open();
  await using _ = intake;
  await intake.firstScan;
  await writeFile(inbox('file'), '');
  await writeFile(inbox('upload.tmp'), '');
  await rename(inbox('upload.tmp'), inbox('upload'));
  await expect.poll(paths, patience).toEqual(['file', 'upload']);
});

test('a folder moved in is taken in with its contents; a symlink to one is not', async () => {
  await mkdir(folder.at('outside/sub'), { recursive: true });
  for (const path of ['a', 'sub/b']) await writeFile(folder.at('outside', path), '');
  await cp(folder.at('outside'), folder.at('linked'), { recursive: true });
  const { intake, paths } = await open();
  await using _ = intake;
  await intake.firstScan;
  await symlink(folder.at('linked'), inbox('link'));
  await rename(folder.at('outside'), inbox('moved'));
  await expect.poll(paths, patience).toEqual(['moved/a', 'moved/sub/b']);
});

test('what no event told of is found by a rescan, and said once', async () => {
  let scans = 0;
  const afterScan = async () => {
    scans += 1;
  };
  const { intake, paths, log } = await open({ rescanSeconds: () => 1, afterScan });
  await using _ = intake;
  await expect.poll(() => scans, patience).toBeGreaterThanOrEqual(3); // by now events are listened to
  // A name that is no UTF-8: Node's watcher cannot tell of it.
  await writeFile(Buffer.concat([Buffer.from(`${inbox()}/caf`), Buffer.from([0xe9])]), '');
  await expect.poll(paths, patience).toEqual(['caf\xe9']);
  expect((await log.first('rescan-found')).fields).toEqual({ files: 1, example: 'caf\\xE9' });
  await expect.poll(() => intake.lastScan()?.foundByRescan).toBe(1);
});

test('a kept file is taken in again when it changed, and not before', async () => {
  await writeFile(inbox('changed'), 'old');
  await writeFile(inbox('unchanged'), 'old');
  const opened = await openFolder(inbox(), 'folder');
  const rests = async (path: string): Promise<Known> => {
    const identity = await identityAt(opened, path as RelativePath);
    if (identity === undefined) throw new Error(`${path} is missing`);
    return { kind: 'rests', identity };
  };
  const known = new Map([
    ['changed', await rests('changed')],
    ['unchanged', await rests('unchanged')],
  ]);
  await writeFile(inbox('changed'), 'new!');
  const settled: string[] = [];
  const { intake } = await open({
    known: (path) => known.get(path),
    onSettled: async (files) => void settled.push(...files.map(({ path }) => path)),
  });
  await using _ = intake;
  await intake.firstScan;
  await expect.poll(() => settled).toEqual(['changed']);
});

test('the drop folder renamed away and made again is watched again', async () => {
  const { intake, paths } = await open({ rescanSeconds: () => 1 });
  await using _ = intake;
  await intake.firstScan;
  await rename(inbox(), folder.at('old'));
  await mkdir(inbox());
  await writeFile(inbox('in-the-new-one'), '');
  await expect.poll(paths, patience).toEqual(['in-the-new-one']);
});

test('a drop folder that is gone is told once, and its files are found when it is back', async () => {
  let scans = 0;
  const afterScan = async () => {
    scans += 1;
  };
  const { intake, paths, log } = await open({ rescanSeconds: () => 1, afterScan });
  await using _ = intake;
  await expect.poll(() => scans, patience).toBeGreaterThanOrEqual(3); // by now events are listened to
  await rm(inbox(), { recursive: true });
  expect((await log.first('warning')).message).toContain('the drop folder is gone');
  await mkdir(inbox());
  await writeFile(inbox('file'), '');
  await expect.poll(paths, patience).toEqual(['file']);
  expect(log.named('warning').filter(({ message }) => message?.includes('is gone'))).toHaveLength(1);
});

test('files that cannot be handed over are offered again by the next scan', async () => {
  await writeFile(inbox('file'), '');
  let attempts = 0;
  const { intake, log } = await open({
    rescanSeconds: () => 1,
    async onSettled() {
      attempts += 1;
      throw new Error('the disk is full');
    },
  });
  await using _ = intake;
  await expect.poll(() => attempts, patience).toBeGreaterThan(1);
  expect(log.named('warning').map(({ fields }) => fields['error'])).toEqual(['the disk is full']);
});

test('a breakdown of the scan reaches who waits for it, and nobody else', async () => {
  await writeFile(inbox('file'), '');
  const { intake } = await open({
    known() {
      throw new Error('the journal cannot be read');
    },
  });
  await new Promise((resolve) => setTimeout(resolve, 50)); // nobody waits yet: it must not end the process
  await expect(intake.firstScan).rejects.toThrow('the journal cannot be read');
  await expect(intake.scanning).rejects.toThrow('the journal cannot be read');
  await intake[Symbol.asyncDispose]();
});

test('a thousand files in a folder that may not be entered are one warning, and end nothing', async () => {
  const outcome = await runAsNobody<{ warnings: number; settled: string[] }>(
    `const { chmod, mkdir, writeFile } = await import('node:fs/promises');
     const { identityAt, openFolder } = await load('src/drop-folder/folder.ts');
     const { createIntake } = await load('src/drop-folder/intake.ts');
     await mkdir(at('locked'));
     for (let number = 0; number < 1000; number += 1) await writeFile(at('locked', 'file-' + number), '');
     await writeFile(at('zebra'), '');
     const folder = await openFolder(at(), 'folder');
     const kept = await identityAt(folder, 'locked/file-7');
     await chmod(at('locked'), 0o400); // its names may be read, and nothing else
     const warnings = [], settled = [];
     const intake = createIntake({
       folder, ignore: [], settleMs: 0, rescanSeconds: () => 3600, onNetwork: false,
       log: { info() {}, error() {}, debug() {}, warning: (event, fields, message) => void warnings.push(message) },
       known: (path) => (path === 'locked/file-7' ? { kind: 'rests', identity: kept } : undefined),
       onSettled: async (files) => void settled.push(...files.map(({ path }) => path)),
       afterScan: async () => {},
     });
     await intake.firstScan;
     while (intake.settling() > 0) await new Promise((resolve) => setTimeout(resolve, 10));
     await intake[Symbol.asyncDispose]();
     await chmod(at('locked'), 0o700);
     return { warnings: warnings.filter((message) => message.includes('cannot be taken in')).length, settled };`,
  );
  expect(outcome).toEqual({ warnings: 1, settled: ['zebra'] });
});

test('it closes at any moment, and leaves no watch behind', async () => {
  for (let number = 0; number < 200; number += 1) await writeFile(inbox(`file-${number}`), '');
  for (const delayMs of [0, 5, 50]) {
    const { intake } = await open({ settleMs: 3000 });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await intake[Symbol.asyncDispose]();
    intake.offer('late' as RelativePath);
  }
  const left = () => process.getActiveResourcesInfo().filter((name) => name === 'FSEventWrap');
  await expect.poll(left).toEqual([]);
});

test('many folders copied in at once: none is missed, none is taken in twice', async () => {
  const { intake, settled } = await open({ rescanSeconds: () => 1 });
  await using _ = intake;
  await intake.firstScan;
  execFileSync('sh', ['-c', 'for d in $(seq 40); do mkdir d$d; for f in $(seq 25); do : > d$d/f$f; done; done'], {
    cwd: inbox(),
  });
  await expect.poll(() => settled.length, patience).toBe(1000);
  expect(new Set(settled.map(({ path }) => path)).size).toBe(1000);
});
