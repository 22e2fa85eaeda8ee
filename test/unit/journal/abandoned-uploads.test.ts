import { expect, test } from 'vitest';
import { openTestJournal, queued, settledFile } from '../../support/test-journal.ts';

const key = 'in/report.pdf';

/** A file in the queue whose upload was sent and never answered. */
async function unanswered(sha256: string) {
  const parts = await openTestJournal();
  const { files } = parts.journal();
  await files.settled([settledFile('report.pdf')]);
  const { fileId } = queued(parts.journal(), 'report.pdf');
  await files.attempt(fileId, key, 'row-1');
  await files.unanswered(fileId, sha256);
  return { parts, file: queued(parts.journal(), 'report.pdf') };
}

test('other bytes came in the place of those that were sent: the key remembers these, and the file asks no more', async () => {
  const { parts, file } = await unanswered('one');
  await using _ = parts;
  expect(parts.journal().abandonedUploads.under(key)).toEqual([]);
  await parts.journal().abandonedUploads.note(file.fileId, new Date());
  await parts.reopen();
  expect(parts.journal().abandonedUploads.under(key)).toEqual(['one']);
  expect(queued(parts.journal(), 'report.pdf').unansweredSha256).toBeUndefined();
});

test('a file that is forgotten leaves the memory of its upload, an answered one leaves none', async () => {
  const { parts, file } = await unanswered('one');
  await using _ = parts;
  const { files, abandonedUploads } = parts.journal();
  await files.forget(file);
  expect(abandonedUploads.under(key)).toEqual(['one']);
  await files.settled([settledFile('other.pdf')]);
  const other = queued(parts.journal(), 'other.pdf');
  await files.attempt(other.fileId, 'in/other.pdf', 'row-1');
  await files.unanswered(other.fileId, 'two');
  await files.unanswered(other.fileId, null);
  await files.forget(other);
  expect(abandonedUploads.under('in/other.pdf')).toEqual([]);
});

test('it ends with the time', async () => {
  const { parts, file } = await unanswered('one');
  await using _ = parts;
  const { abandonedUploads } = parts.journal();
  await abandonedUploads.note(file.fileId, new Date('2026-01-01'));
  await abandonedUploads.prune(new Date('2025-12-31'));
  expect(abandonedUploads.under(key)).toEqual(['one']);
  await abandonedUploads.prune(new Date('2026-01-02'));
  expect(abandonedUploads.under(key)).toEqual([]);
});
