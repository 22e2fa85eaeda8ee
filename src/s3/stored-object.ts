import type { StoredObject } from '../model.ts';
import type { StoredAnswer } from './calls.ts';

export interface StoredFacts {
  readonly bucket: string;
  readonly key: string;
  readonly sha256: string;
  readonly answer: StoredAnswer;
  /** Base64 CRC32 over the whole object, as the store confirmed it. */
  readonly confirmed: string | null;
  readonly partCount: number;
  /** Where the store answers no ETag. */
  readonly etag?: string | undefined;
}

export const storedObject = ({
  bucket,
  key,
  sha256,
  answer,
  confirmed,
  partCount,
  etag,
}: StoredFacts): StoredObject => ({
  bucket,
  key,
  sha256,
  etag: (answer.etag || etag || null)?.replaceAll('"', '') ?? null,
  versionId: answer.versionId ?? null,
  requestId: answer.requestId ?? null,
  // always over the full object, never S3's composite of parts
  checksumType: confirmed === null ? null : 'CRC32',
  checksum: confirmed,
  partCount,
});
