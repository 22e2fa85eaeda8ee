import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openFolder } from '../../../src/drop-folder/folder.ts';
import { createIgnoreRule } from '../../../src/drop-folder/ignore.ts';
import type { ScanReport } from '../../../src/drop-folder/intake.ts';
import type { Journal } from '../../../src/journal/journal.ts';
import type { Outcome } from '../../../src/journal/outbox.ts';
import { type ExplainOptions, explain } from '../../../src/reporting/explain/explain.ts';
import { createLiveState, type LiveState } from '../../../src/reporting/live-state.ts';
import { pathFromBytes, pathFromText, textOf } from '../../../src/service/path-bytes.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';
import {
  identityOf,
  openTestJournal,
  quarantineOutcome,
  queued,
  recordAll,
  settledFile,
  storedOutcome,
  type TestJournal,
} from '../../support/test-journal.ts';

let folder: TempFolder;
let parts: TestJournal;
let journal: Journal;
let liveState: LiveState;
beforeEach(async () => {
  folder = await tempFolder();
  for (const name of ['inbox', 'quarantine']) await mkdir(folder.at(name));
  parts = await openTestJournal();
  journal = parts.journal();
  liveState = createLiveState();
});
afterEach(async () => {
  await parts[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const lastScan: ScanReport = {
  ...{ at: new Date(), ms: 1500, files: 1, folders: 1, ignored: 0, special: 0, unreadable: 0 },
  foundByRescan: 0,
};

async function explained(path: string, options: Partial<ExplainOptions> = {}) {
  const folders = {
    dropFolder: await openFolder(folder.at('inbox'), 'inbox'),
    quarantine: await openFolder(folder.at('quarantine'), 'quarantine'),
  };
  const intake = {
    observing: () => undefined,
    ignoredBy: createIgnoreRule(['.*', '*.part']),
    lastScan: () => lastScan,
  };
  return await explain(
    {
      ...{ folders, intake, liveState, settleMs: 2000, historyOf: journal.historyOf },
      rescanSeconds: () => 30,
      paused: () => undefined,
      ledgerDown: () => undefined,
      ...options,
    },
    path,
  );
}

const settled = (path: string, size = 100) => journal.files.settled([settledFile(path, identityOf({ size }))]);

async function outcomeOf(path: string, outcome: (file: ReturnType<typeof queued>) => Outcome): Promise<Outcome> {
  await settled(path);
  const made = outcome(queued(journal, path));
  await journal.outbox.enqueue(made, new Date());
  return made;
}

/** What the disposal writes. */
async function disposed(path: string, rests: 'kept' | 'not-movable' | undefined): Promise<void> {
  const [found] = journal.files.recordedAfter(0, 10).filter(({ file }) => textOf(file.path) === path);
  await journal.files.disposed([{ fileId: found?.file.fileId ?? '', rests }]);
}

const write = (path: string, content = 'content') => writeFile(folder.at('inbox', path), content);

describe('what is on its way', () => {
  test('coming to rest', async () => {
    const since = new Date('2026-03-01T12:00:00Z');
    const intake = { observing: () => since, ignoredBy: () => undefined, lastScan: () => undefined };
    expect(await explained('new.txt', { intake })).toMatchObject({
      state: 'settling',
      facts: { detectedAt: since.toISOString() },
      notes: [expect.stringContaining('2000 ms')],
    });
  });

  test('queued, for the first time', async () => {
    await settled('new.txt');
    expect(await explained('new.txt')).toMatchObject({ state: 'queued', facts: { bytes: 100 } });
  });

  test('queued again, after failures, with the reason and the time of the next try', async () => {
    await settled('new.txt');
    const nextTryAt = Date.now() + 60_000;
    await journal.files.failed(queued(journal, 'new.txt').fileId, 3, nextTryAt, 'permission denied');
    expect((await explained('new.txt')).facts).toMatchObject({
      failedAttempts: 3,
      error: 'permission denied',
      nextTryAt: new Date(nextTryAt).toISOString(),
    });
  });

  test('queued, while uploads are paused', async () => {
    await settled('new.txt');
    const { notes } = await explained('new.txt', { paused: () => 'the token has expired' });
    expect(notes[0]).toBe('Uploads are paused: the token has expired');
  });

  test('changed while it was read', async () => {
    await settled('new.txt');
    await journal.files.unsettle(queued(journal, 'new.txt').fileId);
    expect((await explained('new.txt')).state).toBe('settling');
  });

  test('uploading, with what S3 has of it', async () => {
    await settled('new.txt');
    const file = queued(journal, 'new.txt');
    const pass = Promise.withResolvers<undefined>();
    const running = liveState.tracking(() => pass.promise)(file, new AbortController().signal);
    liveState.progress(file, 40);
    expect(await explained('new.txt')).toMatchObject({ state: 'uploading', facts: { bytes: 100, bytesStored: 40 } });
    pass.resolve(undefined);
    await running;
  });

  test('in S3, and waiting for the ledger, with the id that its row will have', async () => {
    const { row } = await outcomeOf('new.txt', storedOutcome);
    expect(await explained('new.txt', { ledgerDown: () => 'connection refused' })).toMatchObject({
      state: 'waiting-for-ledger',
      facts: { ledgerId: row.id, object: 's3://records/key' },
      notes: ['It is in S3.', expect.stringContaining('down: connection refused')],
    });
  });

  test('refused by the ledger', async () => {
    await outcomeOf('new.txt', storedOutcome);
    const [row] = journal.outbox.store.next(1);
    if (row !== undefined) await journal.outbox.store.setAside(row, 'invalid byte sequence');
    expect(await explained('new.txt')).toMatchObject({ state: 'set-aside', facts: { error: 'invalid byte sequence' } });
  });

  test('recorded, and about to be moved', async () => {
    await outcomeOf('new.txt', storedOutcome);
    await recordAll(journal);
    expect((await explained('new.txt')).state).toBe('recorded');
  });

  test('on its way to quarantine, with the reason and the cure', async () => {
    await outcomeOf('bad.txt', quarantineOutcome);
    const { state, facts, notes } = await explained('bad.txt');
    expect([state, facts['error'], notes]).toEqual([
      'quarantined',
      'the key is too long',
      expect.arrayContaining(['Shorten it.']),
    ]);
  });
});

describe('what rests', () => {
  test('kept', async () => {
    const { row } = await outcomeOf('kept.txt', storedOutcome);
    await recordAll(journal);
    await disposed('kept.txt', 'kept');
    expect(await explained('kept.txt')).toMatchObject({ state: 'kept', facts: { ledgerId: row.id } });
  });

  test('kept, as a duplicate', async () => {
    const first = await outcomeOf('twice.txt', storedOutcome);
    await recordAll(journal);
    await disposed('twice.txt', undefined);
    await outcomeOf('twice.txt', (file) => {
      const { stored: _stored, ...duplicate } = storedOutcome(file);
      return duplicate;
    });
    await recordAll(journal);
    await disposed('twice.txt', 'kept');
    expect(await explained('twice.txt')).toMatchObject({ state: 'duplicate', facts: { duplicateOf: first.row.id } });
  });

  test('not movable, with what to do', async () => {
    await outcomeOf('stuck.txt', storedOutcome);
    await recordAll(journal);
    await disposed('stuck.txt', 'not-movable');
    const { state, notes } = await explained('stuck.txt');
    expect([state, notes.join(' ')]).toEqual(['not-movable', expect.stringContaining('chmod g+w')]);
  });
});

describe('what was never taken in', () => {
  test.each(['.hidden', 'sub/.git/config', 'movie.mp4.part'])('%s: ignored, by which rule', async (path) => {
    await mkdir(folder.at('inbox', path, '..'), { recursive: true });
    await write(path);
    const rule = path.endsWith('.part') ? '*.part' : '.*';
    expect(await explained(path)).toMatchObject({ state: 'ignored', facts: { rule } });
  });

  test('a symlink, and a folder', async () => {
    await symlink('nowhere', folder.at('inbox/link'));
    await mkdir(folder.at('inbox/sub'));
    expect(await explained('link')).toMatchObject({ state: 'special', facts: { kind: 'symlink' } });
    expect(await explained('sub')).toMatchObject({ state: 'special', facts: { kind: 'folder' } });
  });

  test('there, and not seen yet', async () => {
    await write('new.txt');
    const { state, notes } = await explained('new.txt');
    expect([state, notes[0]]).toEqual(['not-seen', expect.stringContaining('every 30 s')]);
  });

  test('in no place that anybody knows of', async () => {
    expect((await explained('typo.txt')).state).toBe('never-seen');
    expect((await explained('.typo')).notes.join(' ')).toContain('ignored, by the rule .*');
  });

  test.each(['../secret', '/etc/passwd', 'a/../../b', '', 'a//b', 'nul\0'])(
    '%j is no path to be asked about',
    async (path) => {
      await expect(explained(path)).rejects.toThrow('not a path below the drop folder');
    },
  );
});

describe('what has left', () => {
  async function uploadedAndMoved(path: string) {
    const outcome = await outcomeOf(path, storedOutcome);
    await recordAll(journal);
    await disposed(path, undefined);
    return outcome;
  }

  test('uploaded, with its ledger id', async () => {
    const { row } = await uploadedAndMoved('done.txt');
    expect(await explained('done.txt')).toMatchObject({
      state: 'uploaded',
      facts: { ledgerId: row.id, object: 's3://records/key', bytes: 100 },
    });
  });

  test('a duplicate, of what', async () => {
    const { row } = await uploadedAndMoved('done.txt');
    liveState.listeningTo(recordingLog()).info('duplicate', { path: 'done.txt', of: row.id, id: 'its own' });
    expect(await explained('done.txt')).toMatchObject({
      state: 'duplicate',
      facts: { ledgerId: 'its own', duplicateOf: row.id },
    });
  });

  test('uploaded, after it was a duplicate or gone before', async () => {
    const heard = liveState.listeningTo(recordingLog());
    heard.info('duplicate', { path: 'later.txt', of: 'x', id: 'y' });
    heard.info('gone', { path: 'back.txt' });
    const since = Date.now();
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(since), { interval: 1 });
    await uploadedAndMoved('later.txt');
    await uploadedAndMoved('back.txt');
    expect([(await explained('later.txt')).state, (await explained('back.txt')).state]).toEqual([
      'uploaded',
      'uploaded',
    ]);
  });

  test('gone before it was uploaded', async () => {
    liveState.listeningTo(recordingLog()).info('gone', { path: 'taken-away.txt' });
    expect((await explained('taken-away.txt')).state).toBe('gone');
  });

  test('in quarantine: why, and how to mend it; unless it was uploaded after that', async () => {
    const early = '01900000-0000-7000-8000-000000000000';
    await writeFile(folder.at('quarantine/bad.txt'), 'x');
    const said = { path: 'bad.txt', reason: 'the key is too long', hint: 'Shorten it.', ledgerId: early };
    await writeFile(folder.at('quarantine/bad.txt.reason.json'), JSON.stringify(said));
    expect(await explained('bad.txt')).toMatchObject({
      state: 'quarantined',
      facts: { error: 'the key is too long', ledgerId: early },
      notes: ['Shorten it.', expect.stringContaining('dropledger retry')],
    });
    await uploadedAndMoved('bad.txt');
    expect((await explained('bad.txt')).state).toBe('uploaded');
  });
});

test('a name that is not UTF-8 is asked about as the journal writes it', async () => {
  const path = pathFromBytes(Buffer.from([0x66, 0xe9, 0x5c]));
  await journal.files.settled([{ ...settledFile('x'), path }]);
  expect(await explained('f\\xE9\\\\')).toMatchObject({ state: 'queued', path: 'f\\xE9\\\\' });
  await settled('a\\b');
  expect(await explained('a\\b')).toMatchObject({ state: 'queued', path: 'a\\\\b' });
  expect(await explained(textOf(pathFromText('a\\b')))).toMatchObject({ state: 'queued' });
});
