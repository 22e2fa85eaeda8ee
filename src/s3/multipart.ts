import type { MultipartProgress, StoreOutcome, StoreRequest } from '../model.ts';
import { withAttempts } from './attempts.ts';
import { abortAndForget, completeUpload, multipartEtag } from './complete-upload.ts';
import type { StoreContext } from './context.ts';
import { crc32OfJoined } from './crc32-combine.ts';
import { isUnknownUpload, S3Failure } from './failure.ts';
import { partSizeFor } from './part-layout.ts';
import { FileChanged } from './read-range.ts';
import { inRounds, type Round } from './rounds.ts';
import { isUploadStillThere, ResumedPartDiffers, type SentParts, sendParts } from './send-parts.ts';
import { storedObject } from './stored-object.ts';

/**
 * A large file: in parts, resumed where an earlier attempt left off. On failure or abort the upload stays in S3 and in
 * the caller's notes, to be resumed; where the file has changed it is aborted. Throws `S3Failure`, `FileRejected`.
 */
export async function storeInParts(
  context: StoreContext,
  request: StoreRequest,
  signal: AbortSignal,
): Promise<StoreOutcome> {
  let resume = await usableProgress(context, request, signal);
  return await inRounds(request, request.earlierUnanswered && resume === undefined, async (notes) => {
    const upload = resume ?? (await beginUpload(context, request, signal));
    const earlierUnanswered = request.earlierUnanswered && resume !== undefined;
    resume = undefined;
    return await uploadOnce(context, { ...request, notes, earlierUnanswered }, upload, signal);
  });
}

/** The upload that an earlier attempt left, unless it is for another key: then it is aborted. */
async function usableProgress(
  context: StoreContext,
  { resume, key, notes }: StoreRequest,
  signal: AbortSignal,
): Promise<MultipartProgress | undefined> {
  if (resume === undefined || resume.key === key) return resume;
  await abortAndForget(context, { key: resume.key, uploadId: resume.uploadId, notes }, signal);
  return undefined;
}

/** Starts a multipart upload, noted before any part of it is sent. */
export async function beginUpload(
  { calls, checksums, partSizeBytes, patience, slots }: StoreContext,
  { key, contentType, metadata, file, notes }: StoreRequest,
  signal: AbortSignal,
): Promise<MultipartProgress> {
  const chosenSize = partSizeFor(file.identity.size, partSizeBytes);
  const head = { key, contentType, metadata, checksummed: checksums !== 'off' };
  const { uploadId } = await withAttempts(
    async () => {
      using _slot = await slots.take(head, 1, signal);
      return await calls.createMultipartUpload(head, { signal });
    },
    { patience, signal },
  );
  const upload = { uploadId, key, partSizeBytes: chosenSize, createdAt: new Date() };
  await notes.multipartStarted(upload);
  return { ...upload, parts: [] };
}

async function uploadOnce(
  context: StoreContext,
  request: StoreRequest,
  upload: MultipartProgress,
  signal: AbortSignal,
): Promise<Round> {
  const { file, notes } = request;
  let sent: SentParts;
  try {
    sent = await sendParts(context, request, upload, signal);
  } catch (error) {
    return await afterFailedParts(context, request, upload, error, signal);
  }
  if (!(await file.unchanged())) return await discard(context, request, upload, signal);
  await notes.storing(sent.sha256);
  return await complete(context, request, { ...upload, parts: sent.parts }, sent.sha256, signal);
}

async function afterFailedParts(
  context: StoreContext,
  request: StoreRequest,
  upload: MultipartProgress,
  error: unknown,
  signal: AbortSignal,
): Promise<Round> {
  signal.throwIfAborted();
  if (error instanceof S3Failure && isUnknownUpload(error)) {
    await request.notes.multipartGone(upload.uploadId);
    return { kind: 'begin-anew', maybeStored: request.earlierUnanswered ? 'unknown' : 'no' };
  }
  if (error instanceof ResumedPartDiffers) {
    await abortAndForget(context, { ...upload, notes: request.notes }, signal);
    return { kind: 'begin-anew', maybeStored: request.earlierUnanswered ? 'unknown' : 'no' };
  }
  const changed = error instanceof FileChanged || (error instanceof S3Failure && !(await request.file.unchanged()));
  if (changed) return await discard(context, request, upload, signal);
  throw error;
}

/** The file has changed: nothing of it stays. Where S3 can't be asked now, the notes still know the upload. */
async function discard(
  context: StoreContext,
  { notes }: StoreRequest,
  upload: MultipartProgress,
  signal: AbortSignal,
): Promise<StoreOutcome> {
  try {
    await abortAndForget(context, { ...upload, notes }, signal);
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error;
  }
  return { kind: 'changed' };
}

/** Makes the noted, sent parts the object, and says what came of it. */
export async function complete(
  context: StoreContext,
  request: StoreRequest,
  upload: MultipartProgress,
  sha256: string,
  signal: AbortSignal,
): Promise<Round> {
  const { key, onlyIfAbsent, earlierUnanswered, notes, file } = request;
  const { uploadId, parts } = upload;
  const { size } = file.identity;
  const crc32 = context.checksums === 'off' ? undefined : crc32OfJoined(parts);
  const isStillThere = () => isUploadStillThere(context, request, upload, signal);
  const outcome = await completeUpload(
    context,
    { key, uploadId, parts, size, crc32, onlyIfAbsent, earlierUnanswered, notes, isStillThere },
    signal,
  );
  const partCount = parts.length;
  if (outcome.kind === 'key-taken') return { ...outcome, sha256, partCount };
  if (outcome.kind === 'begin-anew') return outcome;
  const { answer } = outcome;
  const confirmed = context.confirm(answer, crc32);
  const etag = multipartEtag(parts);
  const object = storedObject({ bucket: context.bucket, key, sha256, answer, confirmed, partCount, etag });
  return { kind: 'stored', object };
}
