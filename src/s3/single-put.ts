import { crc32 } from '@node-rs/crc32';
import type { StoreOutcome, StoreRequest } from '../model.ts';
import { withAttempts } from './attempts.ts';
import type { StoreContext } from './context.ts';
import { isKeyTaken, S3Failure } from './failure.ts';
import { readFully } from './read-range.ts';
import { storedObject } from './stored-object.ts';

/**
 * A file of at most part size: read whole, checked, hashed, put. The bytes sent are the bytes hashed, from one read.
 * Throws `S3Failure` where S3 can't take it now.
 */
export async function putWholeFile(
  context: StoreContext,
  request: StoreRequest,
  signal: AbortSignal,
): Promise<StoreOutcome> {
  const { file, notes } = request;
  const size = file.identity.size;
  using buffer = await context.buffers.take(size, 'small', signal);
  const complete = await readFully(file, buffer.bytes, 0);
  if (!complete || !(await file.unchanged())) return { kind: 'changed' };
  const sha256 = await context.sha256.of(buffer.bytes);
  await notes.storing(sha256);
  return await putBuffer(context, request, { bytes: buffer.bytes, sha256 }, signal);
}

interface Content {
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

async function putBuffer(
  context: StoreContext,
  request: StoreRequest,
  { bytes, sha256 }: Content,
  signal: AbortSignal,
): Promise<StoreOutcome> {
  const { key, contentType, metadata, onlyIfAbsent, earlierUnanswered, notes } = request;
  const size = bytes.byteLength;
  const checksum = context.checksums === 'off' ? undefined : crc32(bytes);
  let unanswered = earlierUnanswered;
  try {
    const answer = await withAttempts(
      () =>
        context.calls.putObject(
          { key, contentType, metadata, onlyIfAbsent, body: bytes, size, crc32: checksum, sha256 },
          { signal, turn: () => context.slots.take('small', 1, signal) },
        ),
      {
        patience: context.patience,
        signal,
        onFailure: (failure) => {
          unanswered ||= failure.mayHaveHappened;
        },
      },
    );
    request.onProgress(size);
    const confirmed = context.confirm(answer, checksum);
    const object = storedObject({ bucket: context.bucket, key, sha256, answer, confirmed, partCount: 1 });
    return { kind: 'stored', object };
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error;
    if (!unanswered) await notes.refused();
    if (!(onlyIfAbsent && isKeyTaken(error))) throw error;
    // With the right to put alone nobody can tell whose object that is once an answer was lost.
    return { kind: 'key-taken', ours: unanswered ? 'unknown' : 'no', sha256, partCount: 1 };
  }
}
