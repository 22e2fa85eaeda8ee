import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openJournal } from '../../../src/journal/journal.ts';
import { rowHash } from '../../../src/ledger/row-hash.ts';
import { LocalFailure } from '../../../src/service/errors.ts';
import { runAsNobody } from '../../support/as-nobody.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { queueOf, settledFile } from '../../support/test-journal.ts';

const open = (path: string) => openJournal({ path, rowHash });

async function withFiles(path: string, count: number): Promise<void> {
  await using journal = open(path);
  await journal.files.settled(Array.from({ length: count }, (_, index) => settledFile(`file-${index}`)));
}

test('a journal begins, and is kept at the next start', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  {
    await using journal = open(path);
    expect(journal.origin).toEqual({ kind: 'new' });
  }
  await using journal = open(path);
  expect(journal.origin).toEqual({ kind: 'kept' });
});

test.each([
  [
    'overwritten with something else',
    (path: string) => writeFile(path, 'this is no database, whatever its name says'.repeat(500)),
  ],
  ['cut in the middle', async (path: string) => truncate(path, ((await stat(path)).size >> 13) << 12)],
  [
    'damaged in its pages',
    async (path: string) => {
      const bytes = await readFile(path);
      await writeFile(path, bytes.fill(0xa5, 8192, bytes.length - 4096));
    },
  ],
])('a journal that was %s is moved aside, and a new one begins', async (_how, damage) => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  await withFiles(path, 500);
  await damage(path);
  const damaged = await readFile(path);
  await using journal = open(path);
  if (journal.origin.kind !== 'corrupt') throw new Error(`it is ${journal.origin.kind}`);
  expect(await readFile(journal.origin.movedTo)).toEqual(damaged);
  expect(queueOf(journal)).toEqual([]);
  expect(await journal.files.settled([settledFile('file-0')])).toBe(1);
});

test('a journal that was cut to nothing is told to be lost', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  await withFiles(path, 1);
  await truncate(path, 0);
  await using journal = open(path);
  expect(journal.origin).toEqual({ kind: 'lost' });
});

test('what was committed is there after a kill -9', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  const program = `
    import { openJournal } from ${JSON.stringify(import.meta.resolve('../../../src/journal/journal.ts'))};
    const journal = openJournal({ path: ${JSON.stringify(path)}, rowHash: () => '' });
    const identity = { ino: 1n, size: 1, mtimeNs: 1n, ctimeNs: 1n };
    await journal.files.settled([{ path: 'a', identity, detectedAt: new Date() }]);
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], { stdio: 'ignore' });
  expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
  await using journal = open(path);
  expect(journal.origin).toEqual({ kind: 'kept' });
  expect(queueOf(journal).map((file) => file.path)).toEqual(['a']);
});

test('a second daemon with the same journal is refused, and harms nothing', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  await using journal = open(path);
  await journal.files.settled([settledFile('a')]);
  expect(() => open(path)).toThrow(
    expect.objectContaining({ name: 'LocalFailure', message: expect.stringContaining('in use') }),
  );
  expect(await journal.files.settled([settledFile('b')])).toBe(1);
});

test('a journal of a newer release is left alone', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  await withFiles(path, 1);
  const database = new DatabaseSync(path);
  database.exec('PRAGMA user_version = 99');
  database.close();
  expect(() => open(path)).toThrow(/newer dropledger \(version 99\)/);
  expect((await readdir(folder.path)).filter((name) => name.includes('corrupt'))).toEqual([]);
});

test('a place where no journal can be is told with what to do about it', async () => {
  await using folder = await tempFolder();
  await mkdir(folder.at('folder'));
  for (const path of [folder.at('missing', 'journal.db'), folder.at('folder')]) {
    expect(() => open(path)).toThrow(LocalFailure);
    expect(() => open(path)).toThrow(expect.objectContaining({ hint: expect.stringContaining('StateDirectory') }));
  }
});

test('a journal that may be read and not written is refused at the start, not at the first file', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  await withFiles(path, 1);
  await chmod(folder.path, 0o755);
  await chmod(path, 0o444);
  const outcome = await runAsNobody(`
    const { openJournal } = await load('src/journal/journal.ts');
    try { openJournal({ path: ${JSON.stringify(path)}, rowHash: () => '' }); return 'opened'; }
    catch (error) { return error.name; }`);
  expect(outcome).toBe('LocalFailure');
});

test('when it is closed, what was asked for before is on disk, and what comes after is refused', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  const journal = open(path);
  const settling = journal.files.settled([settledFile('a')]);
  await journal[Symbol.asyncDispose]();
  expect(await settling).toBe(1);
  await expect(journal.files.settled([settledFile('b')])).rejects.toThrow();
  await using reopened = open(path);
  expect(queueOf(reopened).map((file) => file.path)).toEqual(['a']);
});
