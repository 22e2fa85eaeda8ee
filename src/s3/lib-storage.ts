import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { crc32 } from '@node-rs/crc32';
import type { MultipartProgress, StoredPart, StoreOutcome, StoreRequest } from '../model.ts';
import { withAttempts } from './attempts.ts';
import { abortAndForget } from './complete-upload.ts';
import type { StoreContext } from './context.ts';
import { isUnknownUpload, S3Failure } from './failure.ts';
import { beginUpload, complete } from './multipart.ts';
import { partSizeFor } from './part-layout.ts';
import { FileChanged, readPieces } from './read-range.ts';
import { inRounds, type Round } from './rounds.ts';

export interface LibStorageContext extends StoreContext {
  /** Asked by `Upload` for its configuration alone. */
  readonly client: S3Client;
}

/** Parts of one file in flight. */
const queueSize = 3;

/**
 * A large file by AWS's managed uploader: it cuts the stream into parts and keeps several in flight. Its requests pass
 * through here, because by itself it would hide lost answers, send no checksums and never look at the file again.
 * It can't resume: what fails is aborted.
 */
export async function storeByUpload(
  context: LibStorageContext,
  request: StoreRequest,
  signal: AbortSignal,
): Promise<StoreOutcome> {
  const { earlierUnanswered } = request;
  return await inRounds(request, earlierUnanswered, (notes) =>
    uploadOnce(context, { ...request, notes, earlierUnanswered: false }, signal),
  );
}

async function uploadOnce(context: LibStorageContext, request: StoreRequest, signal: AbortSignal): Promise<Round> {
  const { bucket, client, buffers } = context;
  const { file, key } = request;
  const { size } = file.identity;
  const partSize = partSizeFor(size, context.partSizeBytes);
  const progress: Progress = { upload: undefined, parts: [], round: undefined };
  using _memory = await buffers.reserve((queueSize + 1) * partSize, request, signal);

  const sha256 = createHash('sha256');
  async function* bytesOfFile() {
    for await (const piece of readPieces(file, { start: 0, length: size })) {
      signal.throwIfAborted();
      sha256.update(piece);
      yield piece;
    }
  }
  const send = sendFor(context, request, progress, () => sha256.digest('hex'), signal);
  const upload = new Upload({
    client: Object.assign(Object.create(client), { send }) as S3Client,
    params: {
      Bucket: bucket,
      Key: key,
      ContentLength: size,
      Body: Readable.from(bytesOfFile(), { objectMode: false }),
    },
    queueSize,
    partSize,
    leavePartsOnError: true,
  });
  try {
    await upload.done();
    return progress.round as Round;
  } catch (error) {
    return await afterFailure(context, request, progress, error, signal);
  }
}

interface Progress {
  upload: MultipartProgress | undefined;
  readonly parts: StoredPart[];
  round: Round | undefined;
}

/** What stands in for the client's `send`. */
function sendFor(
  context: LibStorageContext,
  request: StoreRequest,
  progress: Progress,
  sha256: () => string,
  signal: AbortSignal,
) {
  return async (command: unknown): Promise<object> => {
    if (command instanceof CreateMultipartUploadCommand) {
      progress.upload = await beginUpload(context, request, signal);
      return { UploadId: progress.upload.uploadId };
    }
    if (command instanceof UploadPartCommand) {
      const { PartNumber, Body } = command.input;
      if (!(await request.file.unchanged())) throw new FileChanged('the file changed');
      const part = await sendPart(context, request, progress, PartNumber as number, Body as Uint8Array, signal);
      return { ETag: part.etag };
    }
    if (command instanceof CompleteMultipartUploadCommand) {
      if (!(await request.file.unchanged())) throw new FileChanged('the file changed');
      const hex = sha256();
      await request.notes.storing(hex);
      const upload = { ...(progress.upload as MultipartProgress), parts: progress.parts };
      progress.round = await complete(context, request, upload, hex, signal);
      return {};
    }
    throw new Error('a request that Upload is not known to send');
  };
}

async function sendPart(
  context: LibStorageContext,
  request: StoreRequest,
  progress: Progress,
  number: number,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<StoredPart> {
  const { calls, slots, patience, checksums } = context;
  const size = body.byteLength;
  const checksum = crc32(body);
  const sent = checksums === 'off' ? undefined : checksum;
  const { uploadId } = progress.upload as MultipartProgress;
  const answer = await withAttempts(
    async () => {
      using _slot = await slots.take(request, 1, signal);
      const part = { key: request.key, uploadId, number, body, size, crc32: sent, sha256: undefined };
      return await calls.uploadPart(part, { signal });
    },
    { patience, signal },
  );
  if (answer.etag === undefined) {
    throw new S3Failure({ code: 'NotUnderstood', message: 'a part was answered without ETag', status: 500 });
  }
  context.confirm(answer, sent);
  const part = { number, etag: answer.etag, crc32: checksum, size };
  progress.parts[number - 1] = part;
  request.onProgress(progress.parts.reduce((sum, stored) => sum + stored.size, 0));
  return part;
}

/** Nothing here can be resumed. Where S3 can't be asked to abort it, or there is no time to, the notes still know it. */
async function afterFailure(
  context: LibStorageContext,
  { file, notes }: StoreRequest,
  { upload, round }: Progress,
  error: unknown,
  signal: AbortSignal,
): Promise<Round> {
  if (round !== undefined) return round;
  signal.throwIfAborted();
  if (upload !== undefined && error instanceof S3Failure && isUnknownUpload(error)) {
    await notes.multipartGone(upload.uploadId);
    return { kind: 'begin-anew', maybeStored: 'no' };
  }
  const changed = error instanceof FileChanged || !(await file.unchanged());
  if (upload !== undefined) {
    await abortAndForget(context, { ...upload, notes }, signal).catch((abortError) => {
      if (!(abortError instanceof S3Failure)) throw abortError;
    });
  }
  if (changed) return { kind: 'changed' };
  throw error;
}
