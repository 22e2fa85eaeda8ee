import { copyFile, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openJournal } from '../../../src/journal/journal.ts';
import { witnessOf } from '../../../src/journal/lineage.ts';
import { rowHash } from '../../../src/ledger/row-hash.ts';
import { LocalFailure } from '../../../src/service/errors.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';
import { queued, settledFile, storedOutcome } from '../../support/test-journal.ts';

async function startOnce(path: string): Promise<string> {
  await using journal = openJournal({ path, rowHash });
  return journal.origin.kind;
}

/** A journal that was started twice, and a copy of the files from between. */
async function withCopy(): Promise<{ folder: TempFolder; path: string; backup: string }> {
  const folder = await tempFolder();
  const [path, backup] = [folder.at('journal.db'), folder.at('backup')];
  expect(await startOnce(path)).toBe('new');
  await mkdir(backup);
  await copyFile(path, `${backup}/journal.db`);
  await copyFile(witnessOf(path), `${backup}/witness`);
  expect(await startOnce(path)).toBe('kept');
  expect(await startOnce(path)).toBe('kept');
  return { folder, path, backup };
}

test('an earlier copy over the journal is told, once', async () => {
  const { folder, path, backup } = await withCopy();
  await using _folder = folder;
  await copyFile(`${backup}/journal.db`, path);
  expect(await startOnce(path)).toBe('copy');
  expect(await startOnce(path)).toBe('kept');
});

test('a copy of all that there was, as other files, is told', async () => {
  const { folder, path, backup } = await withCopy();
  await using _folder = folder;
  await rm(path);
  await copyFile(`${backup}/journal.db`, path);
  await copyFile(`${backup}/witness`, witnessOf(path));
  expect(await startOnce(path)).toBe('copy');
});

test('a journal that is gone, with its witness still there, was lost: the new one knows that it does not know all', async () => {
  const { folder, path } = await withCopy();
  await using _folder = folder;
  await rm(path);
  {
    await using journal = openJournal({ path, rowHash });
    expect([journal.origin.kind, journal.abandonedUploads.hasGap()]).toEqual(['lost', true]);
  }
  await using journal = openJournal({ path, rowHash });
  expect([journal.origin.kind, journal.abandonedUploads.hasGap()]).toEqual(['kept', true]);
  await journal.abandonedUploads.prune(new Date(Date.now() + 1000));
  expect(journal.abandonedUploads.hasGap()).toBe(false);
});

test('a journal that was moved, or whose witness was lost, is the same one', async () => {
  const { folder, path } = await withCopy();
  await using _folder = folder;
  await mkdir(folder.at('elsewhere'));
  await rename(path, folder.at('elsewhere', 'journal.db'));
  expect(await startOnce(folder.at('elsewhere', 'journal.db'))).toBe('kept');
});

test('a start that is cut short between its two notes is no copy', async () => {
  const { folder, path } = await withCopy();
  await using _folder = folder;
  {
    await using journal = openJournal({ path, rowHash });
    expect(journal.origin.kind).toBe('kept');
  }
  const before = new DatabaseSync(path);
  const lineage = before.prepare('SELECT token, file FROM lineage').get();
  before.close();
  expect(await startOnce(path)).toBe('kept');
  // as if the last start had written both tokens to the witness and nothing to the journal
  const after = new DatabaseSync(path);
  const token = String(after.prepare('SELECT token FROM lineage').get()?.['token']);
  after.prepare('UPDATE lineage SET token = ?').run(String(lineage?.['token']));
  after.close();
  await writeFile(witnessOf(path), `${token}\n${lineage?.['token']}\n`);
  expect(await startOnce(path)).toBe('kept');
});

test('what follows from a copy is noted with it, or the next start finds it out again', async () => {
  const { folder, path, backup } = await withCopy();
  await using _folder = folder;
  await copyFile(`${backup}/journal.db`, path);
  const refusing = new DatabaseSync(path);
  refusing.exec(`CREATE TRIGGER refuse BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`);
  refusing.close();
  expect(() => openJournal({ path, rowHash })).toThrow('the disk is full');
  expect(() => openJournal({ path, rowHash })).toThrow(LocalFailure);
  const mended = new DatabaseSync(path);
  mended.exec('DROP TRIGGER refuse');
  mended.close();
  expect(await startOnce(path)).toBe('copy');
  expect(await startOnce(path)).toBe('kept');
});

test('a journal that is a link to another place is kept there, with all that lies beside it', async () => {
  await using folder = await tempFolder();
  await mkdir(folder.at('elsewhere'));
  await writeFile(folder.at('elsewhere', 'real.db'), '');
  await symlink(folder.at('elsewhere', 'real.db'), folder.at('journal.db'));
  expect(await startOnce(folder.at('journal.db'))).toBe('new');
  expect(await startOnce(folder.at('journal.db'))).toBe('kept');
  expect((await readdir(folder.path)).sort()).toEqual(['elsewhere', 'journal.db']);
  expect(await readdir(folder.at('elsewhere'))).toContain('real.db-start');
});

test('a copy begins a chain of its own, and takes no id again that a row may have', async () => {
  await using folder = await tempFolder();
  const path = folder.at('journal.db');
  let chain: unknown;
  {
    await using journal = openJournal({ path, rowHash });
    await journal.files.settled([settledFile('stored'), settledFile('waiting')]);
    await journal.outbox.enqueue(storedOutcome(queued(journal, 'stored')), new Date());
    chain = JSON.parse(journal.outbox.store.next(1)[0]?.json ?? '').chain;
    const { fileId } = queued(journal, 'waiting');
    await journal.files.attempt(fileId, 'key', 'an id');
  }
  await copyFile(path, folder.at('copy'));
  await rm(path);
  await rename(folder.at('copy'), path);
  await using journal = openJournal({ path, rowHash });
  expect(journal.origin.kind).toBe('copy');
  const waiting = queued(journal, 'waiting');
  expect(waiting.rowId).toBeUndefined();
  await journal.outbox.enqueue(storedOutcome(waiting), new Date());
  const rows = journal.outbox.store.next(10).map(({ json }) => JSON.parse(json));
  expect(rows).toMatchObject([
    { chain, seq: 1 },
    { chain: expect.not.stringMatching(String(chain)), seq: 1, previous_hash: null },
  ]);
});
