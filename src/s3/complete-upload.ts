import { createHash } from 'node:crypto';
import type { StoredPart, UploadNotes } from '../model.ts';
import { withAttempts } from './attempts.ts';
import type { StoredAnswer } from './calls.ts';
import type { StoreContext } from './context.ts';
import { isKeyTaken, isUnknownUpload, isWorthAnotherTry, isWriteRace, S3Failure } from './failure.ts';

export interface UploadToComplete {
  readonly key: string;
  readonly uploadId: string;
  readonly parts: readonly StoredPart[];
  /** Bytes of the file. */
  readonly size: number;
  /** Of the whole file; undefined sends no checksums. */
  readonly crc32: number | undefined;
  readonly onlyIfAbsent: boolean;
  /** A Complete of this very upload went out before and was never answered. */
  readonly earlierUnanswered: boolean;
  readonly notes: UploadNotes;
  /** Asks S3 whether it still has the upload, changing nothing. */
  readonly isStillThere?: () => Promise<boolean>;
}

export type CompleteOutcome =
  | { readonly kind: 'completed'; readonly answer: StoredAnswer }
  | { readonly kind: 'key-taken'; readonly ours: 'yes' | 'no' | 'unknown' }
  /**
   * The upload is gone, nothing is known to be stored: all parts must be sent again. `maybeStored`: a Complete of it was
   * never answered; if the key turns out to be taken, then (`yes`) surely by that, or (`unknown`) perhaps.
   */
  | { readonly kind: 'begin-anew'; readonly maybeStored: 'yes' | 'unknown' | 'no' };

/**
 * Makes the parts one object, and finds out what became of it where answers were lost. Throws `S3Failure` where that
 * can't be told now; the upload stays as it is and the same may be asked again.
 */
export async function completeUpload(
  context: StoreContext,
  upload: UploadToComplete,
  signal: AbortSignal,
): Promise<CompleteOutcome> {
  const { key, uploadId, parts, size, crc32, onlyIfAbsent, earlierUnanswered, notes } = upload;
  let lostHere = false;
  try {
    const answer = await withAttempts(
      async () => {
        using _slot = await context.slots.take(upload, 1, signal);
        return await context.calls.completeMultipartUpload(
          { key, uploadId, parts, size, crc32, onlyIfAbsent },
          { signal },
        );
      },
      {
        patience: context.patience,
        signal,
        onFailure: (failure) => {
          lostHere ||= failure.mayHaveHappened;
        },
        again: (failure) => isWorthAnotherTry(failure) && !isWriteRace(failure),
      },
    );
    return { kind: 'completed', answer };
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error;
    const lost = lostHere || earlierUnanswered;
    if (onlyIfAbsent && isKeyTaken(error)) return await whoTookTheKey(context, upload, lost, signal);
    if (isWriteRace(error)) {
      await abortAndForget(context, upload, signal);
      return { kind: 'begin-anew', maybeStored: 'no' };
    }
    const gone = isUnknownUpload(error) || (lost && error.answered && (await upload.isStillThere?.()) === false);
    if (!gone) {
      if (!lost) await notes.refused();
      throw error;
    }
    await notes.multipartGone(uploadId);
    return { kind: 'begin-anew', maybeStored: lostHere ? 'yes' : lost ? 'unknown' : 'no' };
  }
}

/**
 * The key exists. If each Complete was answered, it is somebody else's. If one was not, S3 tells by what it says to an
 * abort: it knows the upload, so it never completed; or it does not, so it was that Complete that made the object.
 */
async function whoTookTheKey(
  context: StoreContext,
  upload: UploadToComplete,
  lost: boolean,
  signal: AbortSignal,
): Promise<CompleteOutcome> {
  // Before the abort: with the upload gone, and this not noted, its absence would look like a Complete of ours.
  if (!lost) await upload.notes.refused();
  const aborted = await abortAndForget(context, upload, signal);
  if (lost && aborted !== 'was-there') {
    return { kind: 'key-taken', ours: aborted === 'was-not-there' ? 'yes' : 'unknown' };
  }
  if (lost && !upload.earlierUnanswered) await upload.notes.refused();
  return { kind: 'key-taken', ours: 'no' };
}

/** `unknown`: it is gone, but an earlier abort of ours that was not answered may have done that. */
type AbortAnswer = 'was-there' | 'was-not-there' | 'unknown';

/** Throws `S3Failure` where S3 can't be asked. */
export async function abortAndForget(
  { calls, patience }: Pick<StoreContext, 'calls' | 'patience'>,
  { key, uploadId, notes }: Pick<UploadToComplete, 'key' | 'uploadId' | 'notes'>,
  signal: AbortSignal,
): Promise<AbortAnswer> {
  let lost = false;
  let answer: AbortAnswer = 'was-there';
  try {
    await withAttempts(() => calls.abortMultipartUpload({ key, uploadId }, { signal }), {
      patience,
      signal,
      onFailure: (failure) => {
        lost ||= failure.mayHaveHappened;
      },
    });
  } catch (error) {
    if (!(error instanceof S3Failure && isUnknownUpload(error))) throw error;
    answer = lost ? 'unknown' : 'was-not-there';
  }
  await notes.multipartGone(uploadId);
  return answer;
}

/** What S3 would answer: the MD5 of the parts' MD5s and their number. Undefined where the parts' ETags are no MD5s. */
export function multipartEtag(parts: readonly StoredPart[]): string | undefined {
  const digests = parts.map(({ etag }) => etag.replaceAll('"', ''));
  if (!digests.every((digest) => /^[0-9a-f]{32}$/.test(digest))) return undefined;
  return `${createHash('md5')
    .update(Buffer.from(digests.join(''), 'hex'))
    .digest('hex')}-${digests.length}`;
}
