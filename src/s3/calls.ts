import type { StoredPart } from '../model.ts';

/**
 * The five requests that storing a file takes, as plain values. Two ways to send them: `signed-calls.ts` (the SDK's
 * signer, undici) and `sdk-calls.ts` (AWS's client, which knows access points and directory buckets).
 *
 * Each is sent once: no hidden retry, for an answer that was lost must be seen. Each throws `S3Failure`, or the reason
 * of the signal; when it settles, the request is over.
 */
export interface S3Calls {
  putObject(object: ObjectHead & SizedBody & IfAbsent, options: PutOptions): Promise<StoredAnswer>;
  createMultipartUpload(object: ObjectHead & Checksummed, options: CallOptions): Promise<{ readonly uploadId: string }>;
  uploadPart(part: PartPlace & SizedBody, options: CallOptions): Promise<StoredAnswer>;
  completeMultipartUpload(upload: CompleteRequest & IfAbsent, options: CallOptions): Promise<StoredAnswer>;
  abortMultipartUpload(
    upload: { readonly key: string; readonly uploadId: string },
    options: CallOptions,
  ): Promise<void>;
}

export interface CallOptions {
  readonly signal: AbortSignal;
}

export interface PutOptions extends CallOptions {
  /** Awaited before it is sent, and disposed of when it is over: what can be made ready before, is. */
  readonly turn?: () => Promise<Disposable>;
}

export interface ObjectHead {
  readonly key: string;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface IfAbsent {
  /** Sends `If-None-Match: *`. */
  readonly onlyIfAbsent: boolean;
}

export interface Checksummed {
  /** Whether its parts and its Complete will carry CRC32s. */
  readonly checksummed: boolean;
}

export interface SizedBody {
  /** Or what opens it anew for each attempt: exactly `size` bytes. */
  readonly body: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** Bytes. */
  readonly size: number;
  /** Sent for S3 to verify; undefined sends none. */
  readonly crc32: number | undefined;
  /** Hex, of this very body: signed, so that S3 verifies it too. Undefined leaves the payload unsigned. */
  readonly sha256: string | undefined;
}

export interface PartPlace {
  readonly key: string;
  readonly uploadId: string;
  readonly number: number;
}

export interface CompleteRequest {
  readonly key: string;
  readonly uploadId: string;
  readonly parts: readonly StoredPart[];
  /** Bytes of the whole object. */
  readonly size: number;
  /** Of the whole object; undefined sends no checksums. */
  readonly crc32: number | undefined;
}

export interface StoredAnswer {
  /** As S3 gave it, in quotes; some stores answer none. */
  readonly etag: string | undefined;
  readonly versionId: string | undefined;
  readonly requestId: string | undefined;
  /** Base64: what the store says it has verified; undefined where it says nothing. */
  readonly crc32: string | undefined;
}

/** What goes with every object of this bucket. */
export interface BucketFacts {
  readonly bucket: string;
  readonly expectedBucketOwner?: string | undefined;
  readonly storageClass?: string | undefined;
  readonly sseKmsKeyId?: string | undefined;
}

/** A CRC32 as S3 writes it: base64 of four bytes, most significant first. */
export function crc32Base64(crc32: number): string {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(crc32 >>> 0);
  return bytes.toString('base64');
}

/** How long Complete may take to be answered: S3 may need minutes to put many parts together. */
export const completeAnswerMs = 300_000;
