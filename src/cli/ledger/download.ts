/**
 * Downloads one object next to where it is to be, proves it, and only then gives it its name. What has come so far stays
 * in `.<name>.<row id>.part`: a connection that breaks is taken up again, in this run or a later one.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, link, open, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectReader } from '../../s3/read-objects.ts';
import { ConfigError, codeOf, LocalFailure, messageOf, ServiceUnavailable } from '../../service/errors.ts';
import type { UploadedRow } from './object-check.ts';

export interface DownloadOptions {
  readonly row: UploadedRow;
  readonly bucket: Pick<ObjectReader, 'head' | 'get'>;
  /** The file to make. */
  readonly file: string;
  readonly overwrite: boolean;
  /** Told of bytes as they are written, those of an earlier run included. */
  onBytes(count: number): void;
  /** Between attempts without progress, in ms. */
  readonly retryDelayMs?: (attempt: number) => number;
}

const attemptsWithoutProgress = 5;
const backoffMs = (attempt: number) => 500 * 2 ** attempt;

/** @throws LocalFailure where the bytes are not those of the ledger, or the file exists; the kinds of `ObjectReader`. */
export async function download(options: DownloadOptions): Promise<void> {
  const { row, file, overwrite } = options;
  if (!overwrite) await requireAbsent(file);
  const partFile = join(dirname(file), `.${basename(file)}.${row.id}.part`);
  const resumed = await sizeOf(partFile);
  if (resumed > row.size_bytes) await rm(partFile);
  await fetchInto(partFile, options);
  let sha256 = await sha256Of(partFile);
  if (sha256 !== row.sha256 && resumed > 0) {
    // What an earlier run left may have been spoilt on this disk: the object itself is asked once more.
    await rm(partFile);
    await fetchInto(partFile, options);
    sha256 = await sha256Of(partFile);
  }
  if (sha256 !== row.sha256) {
    await rm(partFile);
    throw new LocalFailure(`the object is not what was uploaded: its sha256 is ${sha256} instead of ${row.sha256}`, {
      hint: 'Nothing was restored. In a versioned bucket an earlier version may still be the right one.',
    });
  }
  await utimes(partFile, new Date(), new Date(row.modified_at));
  await giveName(partFile, file, overwrite);
}

async function fetchInto(partFile: string, options: DownloadOptions): Promise<void> {
  try {
    await fetchAll(partFile, options);
  } catch (error) {
    if ((await sizeOf(partFile)) === 0) await rm(partFile, { force: true });
    throw error;
  }
}

async function fetchAll(partFile: string, options: DownloadOptions): Promise<void> {
  const { row, retryDelayMs = backoffMs } = options;
  await using part = await open(partFile, 'a');
  let { size } = await part.stat();
  options.onBytes(size);
  for (let attempt = 0; size < row.size_bytes; ) {
    try {
      await fetchRest(part, size, options);
      break;
    } catch (error) {
      const now = (await part.stat()).size;
      attempt = now > size ? 0 : attempt + 1;
      size = now;
      if (!(error instanceof ServiceUnavailable) || attempt >= attemptsWithoutProgress) throw error;
      await sleep(retryDelayMs(attempt));
    }
  }
  await part.sync();
}

async function fetchRest(part: FileHandle, from: number, { row, bucket, onBytes }: DownloadOptions): Promise<void> {
  const versionId = row.version_id ?? undefined;
  const ifMatch = row.etag || undefined;
  const body = await bucket.get(row.object_key, { from, versionId, ifMatch });
  if (body === undefined) throw await absent(row, bucket, versionId);
  if (body.size !== row.size_bytes)
    throw new LocalFailure(`the object has ${body.size} bytes, the ledger says ${row.size_bytes}`);
  for await (const bytes of body.bytes) {
    await part.write(bytes);
    onBytes(bytes.length);
  }
  const { size } = await part.stat();
  if (size !== row.size_bytes) throw new ServiceUnavailable('s3', `the download ended after ${size} bytes`);
}

async function absent(row: UploadedRow, bucket: Pick<ObjectReader, 'head'>, versionId: string | undefined) {
  const object = await bucket.head(row.object_key, { versionId });
  const name = `s3://${row.bucket}/${row.object_key}`;
  if (object === undefined)
    return new LocalFailure(`${name} is not there${versionId === undefined ? '' : ` in version ${versionId}`}`, {
      hint: 'It was deleted, or moved by a lifecycle rule. dropledger verify finds all such objects.',
    });
  return new LocalFailure(`${name} was replaced: its ETag is ${object.etag} instead of ${row.etag}`, {
    hint: 'In a versioned bucket an earlier version may still be the right one.',
  });
}

/** A hard link fails where the name is taken, which a rename does not; some file systems have none. */
async function giveName(partFile: string, file: string, overwrite: boolean): Promise<void> {
  if (overwrite) return rename(partFile, file);
  try {
    await link(partFile, file);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw exists(file);
    await requireAbsent(file);
    return rename(partFile, file);
  }
  await rm(partFile);
}

async function requireAbsent(file: string): Promise<void> {
  try {
    await stat(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return requireFolder(dirname(file));
    throw new LocalFailure(`${file} can't be made: ${messageOf(error)}`, { cause: error });
  }
  throw exists(file);
}

async function requireFolder(folder: string): Promise<void> {
  await stat(folder).catch((cause: unknown) => {
    throw new ConfigError(`the folder ${folder} is not there`, {
      hint: 'Create it, or name another with --to.',
      cause,
    });
  });
}

const exists = (file: string) =>
  new LocalFailure(`${file} exists`, { hint: 'Name another file with --to, or overwrite it with --force.' });

async function sizeOf(file: string): Promise<number> {
  return await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(file)) hash.update(bytes as Buffer);
  return hash.digest('hex');
}
