import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFolder } from '../../src/drop-folder/folder.ts';
import { createHousekeeping, type HousekeepingOptions } from '../../src/housekeeping.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { CredentialsError, ServiceUnavailable } from '../../src/service/errors.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { recordingLog } from '../support/recording-log.ts';
import { type TempFolder, tempFolder } from '../support/temp-folder.ts';
import {
  identityOf,
  openTestJournal,
  queued,
  recordAll,
  settledFile,
  storedOutcome,
  type TestJournal,
} from '../support/test-journal.ts';

let folder: TempFolder;
let parts: TestJournal;
let journal: Journal;
beforeEach(async () => {
  folder = await tempFolder();
  for (const name of ['inbox', 'archive', 'quarantine']) await mkdir(folder.at(name));
  parts = await openTestJournal();
  journal = parts.journal();
});
afterEach(async () => {
  await parts[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Housekeeping, which begins its first round at once. */
async function open({ folders, ...options }: Partial<HousekeepingOptions> = {}) {
  const log = recordingLog();
  const housekeeping = createHousekeeping({
    journal,
    folders: folders ?? {
      dropFolder: await openFolder(folder.at('inbox'), 'inbox'),
      archive: await openFolder(folder.at('archive'), 'archive'),
      quarantine: await openFolder(folder.at('quarantine'), 'quarantine'),
    },
    limits: () => ({ archiveKeepDays: 0, removeEmptyFoldersAfterHours: 24 }),
    rememberDays: 365,
    abortUpload: async () => {},
    retryNotMovable: async () => {},
    log,
    ...options,
  });
  return { housekeeping, log };
}

const orphan = (uploadId: string) =>
  journal.multipart.started('a file that is gone', identityOf(), {
    uploadId,
    key: uploadId,
    partSizeBytes: 5,
    createdAt: new Date(),
  });

test('uploads that no file wants are aborted; one that cannot be holds up no other, and is said', async () => {
  for (const uploadId of ['one', 'denied', 'two']) await orphan(uploadId);
  const { housekeeping, log } = await open({
    async abortUpload(_key, uploadId) {
      if (uploadId === 'denied') throw new CredentialsError('AccessDenied');
    },
  });
  await using _ = housekeeping;
  await expect.poll(() => journal.multipart.orphans().map(({ uploadId }) => uploadId)).toEqual(['denied']);
  expect((await log.first('warning')).fields).toMatchObject({ duty: 'abortOrphans', error: 'AccessDenied' });
});

test('while S3 is away, one question is enough', async () => {
  for (const uploadId of ['one', 'two', 'three']) await orphan(uploadId);
  let asked = 0;
  const { housekeeping, log } = await open({
    async abortUpload() {
      asked += 1;
      throw new ServiceUnavailable('s3', 'no answer');
    },
  });
  await using _ = housekeeping;
  await log.first('warning');
  expect(asked).toBe(1);
  expect(journal.multipart.orphans()).toHaveLength(3);
});

test('folders that uploads emptied a day ago are removed, those of today stay', async () => {
  for (const name of ['old/deep', 'new']) await mkdir(folder.at('inbox', name), { recursive: true });
  await journal.emptiedFolders.note([pathFromText('old/deep')], new Date(Date.now() - 25 * 3_600_000));
  await journal.emptiedFolders.note([pathFromText('new')], new Date());
  const { housekeeping } = await open();
  await using _ = housekeeping;
  await expect.poll(() => journal.emptiedFolders.due(new Date())).toEqual(['new']);
  expect(await readdir(folder.at('inbox'))).toEqual(['new']);
});

test('where folders are to stay, the journal does not remember them', async () => {
  await mkdir(folder.at('inbox', 'emptied'));
  await journal.emptiedFolders.note([pathFromText('emptied')], new Date(Date.now() - 1000));
  const { housekeeping } = await open({ limits: () => ({ archiveKeepDays: 0, removeEmptyFoldersAfterHours: 0 }) });
  await using _ = housekeeping;
  await expect.poll(() => journal.emptiedFolders.due(new Date())).toEqual([]);
  expect(await readdir(folder.at('inbox'))).toEqual(['emptied']);
});

const kept = async (...paths: string[]) => {
  for (const path of paths) {
    await writeFile(folder.at('inbox', path), '');
    await journal.files.settled([settledFile(path)]);
    const { fileId } = queued(journal, path);
    await journal.outbox.enqueue(storedOutcome(queued(journal, path)), new Date());
    await recordAll(journal);
    await journal.files.disposed([{ fileId, rests: 'kept' }]);
  }
};

test('kept files that somebody took away are forgotten', async () => {
  await kept('here', 'taken');
  await rm(folder.at('inbox/taken'));
  const { housekeeping } = await open();
  await using _ = housekeeping;
  await expect.poll(() => journal.files.counts()).toEqual({ kept: 1 });
});

test('a file that changed while it was read and was then taken away is forgotten', async () => {
  await journal.files.settled([settledFile('changed')]);
  await journal.files.unsettle(queued(journal, 'changed').fileId);
  const { housekeeping } = await open();
  await using _ = housekeeping;
  await expect.poll(() => journal.files.counts()).toEqual({});
});

test('while the drop folder is not there, nothing is forgotten', async () => {
  await kept('here');
  const dropFolder = await openFolder(folder.at('inbox'), 'inbox');
  await rm(folder.at('inbox'), { recursive: true });
  const quarantine = await openFolder(folder.at('quarantine'), 'quarantine');
  let duties = 0;
  const limits = () => {
    duties += 1;
    return { archiveKeepDays: 0, removeEmptyFoldersAfterHours: 0 };
  };
  const { housekeeping } = await open({ folders: { dropFolder, quarantine, archive: undefined }, limits });
  await expect.poll(() => duties).toBe(2); // the next duty is to look for kept files
  await housekeeping[Symbol.asyncDispose]();
  expect(journal.files.counts()).toEqual({ kept: 1 });
});

test('it ends in the middle of its work', async () => {
  await orphan('upload');
  const { housekeeping, log } = await open({
    abortUpload: (_key, _uploadId, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  await housekeeping[Symbol.asyncDispose]();
  expect(log.events).toEqual([]);
});
