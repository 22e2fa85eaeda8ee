/**
 * Reads a bucket, for the commands that prove what the daemon did; the daemon itself reads nothing. It needs
 * s3:ListBucket on the bucket and s3:GetObject on the objects (s3:GetObjectVersion where versions are asked for).
 */
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { CredentialsError, DropledgerError } from '../service/errors.ts';
import { createS3Client, type S3ClientOptions } from './client.ts';
import { classifyS3Failure } from './errors.ts';
import { S3Failure } from './failure.ts';
import { sdkFailure } from './sdk-calls.ts';

export interface ObjectReaderOptions extends Omit<S3ClientOptions, 'maxAttempts'> {
  readonly bucket: string;
  readonly expectedBucketOwner?: string | undefined;
}

export interface ListedObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
}

export interface ObjectHead extends ListedObject {
  readonly versionId: string | undefined;
  /** Base64, over the whole object; undefined where the store keeps none of that kind. */
  readonly crc32: string | undefined;
  /** User metadata, names in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ObjectBody extends Pick<ListedObject, 'etag'> {
  /** Bytes of the whole object, whatever part of it was asked for. */
  readonly size: number;
  /** Throws `ServiceUnavailable` where the answer breaks off. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface ReadOptions {
  readonly versionId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Throws the kinds of `service/errors.ts`; the signal's reason where it was aborted. What isn't there is undefined. */
export interface ObjectReader extends Disposable {
  head(key: string, options?: ReadOptions): Promise<ObjectHead | undefined>;
  /** From a byte on to the end; `ifMatch` is an ETag: another object is undefined as well. */
  get(
    key: string,
    options?: ReadOptions & { readonly from?: number; readonly ifMatch?: string | undefined },
  ): Promise<ObjectBody | undefined>;
  /** Up to a thousand at a time, in the order of their keys' bytes. */
  list(
    prefix: string,
    options?: { readonly after?: string | undefined; readonly signal?: AbortSignal | undefined },
  ): AsyncGenerator<ListedObject[]>;
}

export function createObjectReader({ bucket, expectedBucketOwner, ...options }: ObjectReaderOptions): ObjectReader {
  const client = createS3Client({ ...options, maxAttempts: 5 });
  const place = {
    Bucket: bucket,
    ...(expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: expectedBucketOwner }),
  };
  const settings = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { abortSignal: signal });
  const version = (versionId: string | undefined) => (versionId === undefined ? {} : { VersionId: versionId });

  return {
    head(key, { versionId, signal } = {}) {
      return unlessMissing(signal, async () => {
        const command = new HeadObjectCommand({ ...place, Key: key, ...version(versionId), ChecksumMode: 'ENABLED' });
        return headOf(key, await client.send(command, settings(signal)));
      });
    },

    get(key, { versionId, signal, from = 0, ifMatch } = {}) {
      return unlessMissing(signal, async () => {
        const command = new GetObjectCommand({
          ...place,
          Key: key,
          ...version(versionId),
          ...(from > 0 ? { Range: `bytes=${from}-` } : {}),
          ...(ifMatch === undefined ? {} : { IfMatch: `"${ifMatch}"` }),
        });
        const answer = await client.send(command, settings(signal));
        return { size: wholeSize(answer), etag: unquoted(answer.ETag), bytes: bytesOf(answer, signal) };
      });
    },

    async *list(prefix, { after, signal } = {}) {
      let token: string | undefined;
      do {
        const command = new ListObjectsV2Command({
          ...place,
          Prefix: prefix,
          EncodingType: 'url', // XML can't hold every character a key can.
          ...(token === undefined ? {} : { ContinuationToken: token }),
          ...(after === undefined || token !== undefined ? {} : { StartAfter: after }),
        });
        const page = await classified(signal, () => client.send(command, settings(signal)));
        yield (page.Contents ?? []).map(({ Key = '', Size = 0, ETag, LastModified = new Date(0) }) => ({
          key: decodeURIComponent(Key.replaceAll('+', ' ')),
          size: Size,
          etag: unquoted(ETag),
          lastModified: LastModified,
        }));
        token = page.NextContinuationToken;
      } while (token !== undefined);
    },

    [Symbol.dispose]: () => client.destroy(),
  };
}

const headOf = (key: string, answer: HeadObjectCommandOutput): ObjectHead => ({
  key,
  size: answer.ContentLength ?? 0,
  etag: unquoted(answer.ETag),
  lastModified: answer.LastModified ?? new Date(0),
  versionId: answer.VersionId,
  // A composite one is of the parts' checksums, not of the bytes.
  crc32: answer.ChecksumType === 'COMPOSITE' || answer.ChecksumCRC32?.includes('-') ? undefined : answer.ChecksumCRC32,
  metadata: answer.Metadata ?? {},
});

const unquoted = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '');

/** A part of an object tells the whole in `Content-Range: bytes 5-9/10`. */
function wholeSize({ ContentRange, ContentLength = 0 }: GetObjectCommandOutput): number {
  const total = /\/(\d+)$/.exec(ContentRange ?? '')?.[1];
  return total === undefined ? ContentLength : Number(total);
}

async function* bytesOf({ Body }: GetObjectCommandOutput, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of Body as unknown as AsyncIterable<Uint8Array>) yield bytes;
  } catch (error) {
    signal?.throwIfAborted();
    throw readingError(new S3Failure({ code: 'INCOMPLETE', message: 'the answer broke off', cause: error }));
  }
}

async function unlessMissing<T>(signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    signal?.throwIfAborted();
    const failure = sdkFailure(error);
    if (failure instanceof S3Failure && isMissing(failure)) return undefined;
    throw readingError(failure);
  }
}

async function classified<T>(signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    signal?.throwIfAborted();
    throw readingError(sdkFailure(error));
  }
}

/** No such key or version, a delete marker in its place (405), or another object than was asked for (412). */
const isMissing = ({ status, code }: S3Failure): boolean =>
  code !== 'NoSuchBucket' && (status === 404 || status === 412 || (status === 405 && code !== 'NotImplemented'));

/** The kinds of `service/errors.ts`, with what reading needs in place of what uploading does. */
function readingError(error: unknown): unknown {
  const kind = error instanceof DropledgerError ? error : classifyS3Failure(error);
  const refused = kind instanceof CredentialsError && error instanceof S3Failure;
  if (!refused || (error.status !== 403 && error.code !== 'AccessDenied')) return kind;
  return new CredentialsError(kind.message, {
    hint: 'Reading needs s3:ListBucket on the bucket and s3:GetObject (with versions s3:GetObjectVersion) on its objects, which the daemon’s own identity lacks on purpose: run this as another one, such as AWS_PROFILE=auditor dropledger …',
    cause: error,
  });
}
