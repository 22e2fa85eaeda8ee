import { expect, test } from 'vitest';
import type { QueuedFile } from '../../../src/journal/files.ts';
import type { StoredPart } from '../../../src/model.ts';
import { identityOf, openTestJournal, queued, settledFile, storedOutcome } from '../../support/test-journal.ts';

const part = (number: number): StoredPart => ({ number, etag: `"${number}"`, crc32: 0xffff_fff0 + number, size: 5 });
const upload = { uploadId: 'upload-1', key: 'video.mp4', partSizeBytes: 5, createdAt: new Date(1_700_000_000_000) };

/** A file in the queue with an upload under way, two of its parts stored. */
async function begun() {
  const parts = await openTestJournal();
  const { files, multipart } = parts.journal();
  await files.settled([settledFile('video.mp4')]);
  const file = queued(parts.journal(), 'video.mp4');
  await files.attempt(file.fileId, upload.key, 'row-1');
  await multipart.started(file.fileId, file.identity, upload);
  await multipart.partStored(upload.uploadId, part(2));
  await multipart.partStored(upload.uploadId, part(1));
  return { parts, file };
}
const resumable = (journal: Awaited<ReturnType<typeof begun>>['parts'], { fileId }: QueuedFile, content = 1) =>
  journal.journal().multipart.resumable(fileId, identityOf({ content }), upload.key);

test('an upload goes on after a restart with the parts that S3 has', async () => {
  const { parts, file } = await begun();
  await using _ = parts;
  await parts.reopen();
  expect(resumable(parts, file)).toEqual({ ...upload, parts: [part(1), part(2)] });
  expect(parts.journal().multipart.orphans()).toEqual([]);
});

test('of a file that changed nothing is resumed, and the upload is aborted', async () => {
  const { parts, file } = await begun();
  await using _ = parts;
  await parts.journal().files.settled([settledFile('video.mp4', identityOf({ content: 2 }))]);
  expect(resumable(parts, file, 2)).toBeUndefined();
  expect(parts.journal().multipart.orphans()).toEqual([{ uploadId: 'upload-1', key: 'video.mp4' }]);
});

test('the upload of a file that vanished, or was stored under another key, is aborted', async () => {
  const { parts, file } = await begun();
  await using _ = parts;
  const { files, multipart, outbox } = parts.journal();
  await outbox.enqueue(storedOutcome(file, { key: 'video~1.mp4' }), new Date());
  expect(multipart.orphans()).toHaveLength(1);
  await files.forget(file);
  expect(multipart.orphans()).toHaveLength(1);
  await multipart.gone('upload-1');
  expect(multipart.orphans()).toEqual([]);
});

test('a completed upload is forgotten together with the outcome', async () => {
  const { parts, file } = await begun();
  await using _ = parts;
  await parts.journal().outbox.enqueue(storedOutcome(file, { key: upload.key }), new Date());
  expect(resumable(parts, file)).toBeUndefined();
  expect(parts.journal().multipart.orphans()).toEqual([]);
});

test('the upload of what the file was before is still to be aborted once the new content is stored under its key', async () => {
  const { parts } = await begun();
  await using _ = parts;
  const { files, multipart, outbox } = parts.journal();
  await files.settled([settledFile('video.mp4', identityOf({ content: 2 }))]);
  const changed = queued(parts.journal(), 'video.mp4');
  await files.attempt(changed.fileId, upload.key, 'row-1');
  await multipart.started(changed.fileId, changed.identity, { ...upload, uploadId: 'upload-2' });
  await outbox.enqueue(storedOutcome(changed, { key: upload.key }), new Date());
  expect(multipart.orphans()).toEqual([{ uploadId: 'upload-1', key: upload.key }]);
});

test('a part that is told of after its upload was given up is not remembered', async () => {
  const { parts, file } = await begun();
  await using _ = parts;
  const { multipart } = parts.journal();
  await multipart.gone('upload-1');
  await multipart.partStored('upload-1', part(3));
  await multipart.started(file.fileId, file.identity, upload);
  expect(resumable(parts, file)?.parts).toEqual([]);
});
