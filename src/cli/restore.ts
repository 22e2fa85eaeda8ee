import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RecordedRow } from '../ledger/reader.ts';
import { exitCode, LocalFailure } from '../service/errors.ts';
import { type Command, textOf } from './command.ts';
import { download } from './ledger/download.ts';
import type { UploadedRow } from './ledger/object-check.ts';
import { openBucket } from './ledger/object-login.ts';
import { openReader, type ReaderLogin, readerOptions } from './ledger/reader-login.ts';
import { findRow } from './ledger/show.ts';
import { looksOf, writing } from './terminal/output.ts';
import { showProgress } from './terminal/progress.ts';
import { bytesText, printable } from './terminal/text.ts';

export const restore: Command = {
  details: `ID is that of a row of the ledger, or its beginning. The file appears under its name only when all its bytes are there and
their sha256 is the ledger's; a download that broke off is resumed. Its time of modification is the original's.

It runs as whoever may read the object (s3:GetObject), which the daemon may not: such as
AWS_PROFILE=auditor dropledger restore ID.`,
  operands: { usage: 'ID', least: 1, most: 1 },
  options: {
    to: { value: 'FILE', describe: 'the file to make, or a folder to make it in (default: its name, in this folder)' },
    force: { describe: 'overwrite a file of that name' },
    ...readerOptions,
    json: { describe: 'print the result as JSON' },
  },

  async run(given, around, [id = '']) {
    await using login = await openReader(given, around);
    const row = await uploadOf(login, await findRow(login, id));
    using bucket = openBucket(login, row.bucket);
    const file = await fileFor(row, textOf(given, 'to') ?? '.');
    {
      using progress = showProgress(around, 'bytes', row.size_bytes);
      await download({ row, bucket, file, overwrite: given['force'] === true, onBytes: progress.advance });
    }
    return await writing(around, async (write) => {
      const { paint } = looksOf(around.stdout, around.env);
      const { sha256, size_bytes: bytes } = row;
      if (given['json'] === true) await write(`${JSON.stringify({ id: row.id, file, bytes, sha256 })}\n`);
      else
        await write(`${paint('green', '✓')} ${printable(file)}: ${bytesText(bytes)}, sha256 ${sha256} as recorded\n`);
      return exitCode.fine;
    });
  },
};

/** The row that tells of the object: a duplicate's is another one's, whose version and ETag count. */
async function uploadOf({ reader }: ReaderLogin, row: RecordedRow): Promise<UploadedRow> {
  if (row.status === 'failed')
    throw new LocalFailure(`row ${row.id} is of a file that was never uploaded: ${row.error}`);
  const [original] = row.duplicate_of === null ? [row] : await reader.find(row.duplicate_of);
  const { version_id, etag } = original ?? { version_id: null, etag: null };
  return { ...row, version_id, etag } as UploadedRow;
}

/** `to` is a folder where there is one of that name. */
async function fileFor(row: RecordedRow, to: string): Promise<string> {
  const isFolder = await stat(to).then(
    (found) => found.isDirectory(),
    () => to.endsWith('/'),
  );
  // The ledger doubles the backslashes of names; bytes that are not UTF-8 never got into the bucket.
  const name = row.path.slice(row.path.lastIndexOf('/') + 1).replaceAll('\\\\', '\\');
  return isFolder ? join(resolve(to), name) : resolve(to);
}
