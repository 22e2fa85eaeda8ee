import { withAttempts } from './attempts.ts';
import type { S3Calls } from './calls.ts';
import { classifyS3Failure } from './errors.ts';
import { isUnknownUpload, S3Failure } from './failure.ts';

export interface ProbeOptions {
  readonly calls: S3Calls;
  readonly bucket: string;
  /** Expanded. */
  readonly prefix: string;
  readonly checksummed: boolean;
  readonly signal: AbortSignal;
}

export const probePatience = { attempts: 2, baseMs: 200, capMs: 1_000 };

/**
 * Proves that this principal may write under the prefix (and use the KMS key): starts a multipart upload and aborts it,
 * which needs `s3:PutObject` and `s3:AbortMultipartUpload` alone and leaves nothing. Throws the kinds of `errors.ts`.
 */
export async function probeWrite({ calls, bucket, prefix, checksummed, signal }: ProbeOptions): Promise<void> {
  const key = probeKey(prefix);
  try {
    const head = { key, contentType: 'application/octet-stream', metadata: {}, checksummed };
    const { uploadId } = await withAttempts(() => calls.createMultipartUpload(head, { signal }), {
      patience: probePatience,
      signal,
    });
    await abortUpload(calls, key, uploadId, signal);
  } catch (error) {
    throw classifyS3Failure(error, bucket);
  }
}

/** Of what is begun and never finished, to see whether it could be. */
export const probeKey = (prefix: string): string => `${prefix}.dropledger-check`;

/** Aborts a multipart upload; one that S3 does not know is fine. Throws `S3Failure`. */
export async function abortUpload(calls: S3Calls, key: string, uploadId: string, signal: AbortSignal): Promise<void> {
  try {
    await withAttempts(() => calls.abortMultipartUpload({ key, uploadId }, { signal }), {
      patience: probePatience,
      signal,
    });
  } catch (error) {
    if (!(error instanceof S3Failure && isUnknownUpload(error))) throw error;
  }
}
