import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDisposal } from '../../src/disposal.ts';
import type { Disposal } from '../../src/drop-folder/dispose.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { recordingLog } from '../support/recording-log.ts';
import {
  openTestJournal,
  quarantineOutcome,
  queued,
  recordAll,
  settledFile,
  storedOutcome,
  type TestJournal,
} from '../support/test-journal.ts';

let parts: TestJournal;
let journal: Journal;
beforeEach(async () => {
  parts = await openTestJournal();
  journal = parts.journal();
});
afterEach(() => parts[Symbol.asyncDispose]());

/** Files whose rows are in the ledger. */
async function recorded(paths: readonly string[], outcome = storedOutcome): Promise<void> {
  await journal.files.settled(paths.map((path) => settledFile(path)));
  for (const path of paths) await journal.outbox.enqueue(outcome(queued(journal, path)), new Date());
  await recordAll(journal);
}

/** The disposal of all that is due, where every file comes to the same. */
function open(disposal: () => Disposal) {
  const log = recordingLog();
  const lookedAgain: string[] = [];
  const dispose = createDisposal({
    journal,
    dispose: async (files) => new Map(files.map((file) => [file, disposal()])),
    log,
    lookAgain: (path) => void lookedAgain.push(path),
  });
  return { log, lookedAgain, run: () => dispose(journal.files.recordedAfter(0, 1000).map(({ file }) => file)) };
}

const name = pathFromText('name');
const manyPaths = Array.from({ length: 200 }, (_, index) => `folder/file-${index}`);

test('a moved file is forgotten, and its folder remembered as emptied', async () => {
  await recorded(['a/b/file', 'top']);
  const { run, log } = open(() => ({ kind: 'moved', name }));
  await run();
  expect(journal.files.counts()).toEqual({});
  expect(journal.emptiedFolders.due(new Date())).toEqual(['a/b']);
  expect(log.events).toEqual([]);
});

test('a quarantined file is named with the reason and the cure', async () => {
  await recorded(['bad'], quarantineOutcome);
  const { run, log } = open(() => ({ kind: 'moved', name }));
  await run();
  expect(log.named('quarantined')).toMatchObject([
    { level: 'error', fields: { path: 'bad', error: 'the key is too long', hint: 'Shorten it.' } },
  ]);
});

test('a file that was replaced is forgotten, and what is there now is looked at', async () => {
  await recorded(['file']);
  const { run, lookedAgain } = open(() => ({ kind: 'gone' }));
  await run();
  expect(journal.files.counts()).toEqual({});
  expect(lookedAgain).toEqual(['file']);
});

test('a kept file rests', async () => {
  await recorded(['file']);
  await open(() => ({ kind: 'kept' })).run();
  expect(journal.files.counts()).toEqual({ kept: 1 });
});

test('files that may not be moved are remembered, with one warning a folder, also when they are tried again', async () => {
  await recorded([...manyPaths, 'other/file']);
  const { run, log } = open(() => ({ kind: 'not-movable', reason: 'EACCES' }));
  await run();
  expect(journal.files.counts()).toEqual({ 'not-movable': 201 });
  await journal.files.retryNotMovable();
  await run();
  expect(log.named('not-movable').map(({ fields }) => fields['folder'])).toEqual(['folder', 'other']);
  expect(log.named('not-movable')[0]?.fields['hint']).toContain('chmod g+w');
});

test('a full archive is one error, not one a file, and is said again when it happens again', async () => {
  await recorded(manyPaths);
  let disposal: () => Disposal = () => {
    const path = Math.random();
    return {
      kind: 'failed',
      code: 'ENOSPC',
      error: `ENOSPC: no space left on device, open '${path}'`,
      hint: undefined,
    };
  };
  const { run, log } = open(() => disposal());
  await run();
  await run();
  expect(log.named('warning')).toMatchObject([{ level: 'error', fields: { example: 'folder/file-0' } }]);
  expect(journal.files.counts()).toEqual({ recorded: 200 });
  const full = disposal;
  disposal = () => ({ kind: 'moved', name });
  await run();
  expect(journal.files.counts()).toEqual({});
  await recorded(['next']);
  disposal = full;
  await run();
  expect(log.named('warning')).toHaveLength(2);
});

test('what was interrupted is taken up at the next start', async () => {
  await recorded(['file']);
  const { run, log } = open(() => ({ kind: 'interrupted' }));
  await run();
  expect(journal.files.counts()).toEqual({ recorded: 1 });
  expect(log.events).toEqual([]);
});
