import type { QueuedFile } from './journal/files.ts';
import type { UnchainedRow } from './journal/outbox.ts';
import type { StoredObject } from './model.ts';
import { textOf } from './service/path-bytes.ts';

/** What each row says of the place it comes from. */
export interface Origin {
  readonly host: string;
  readonly instance: string;
  readonly bucket: string;
  readonly daemonVersion: string;
  /** The caller's ARN; null where there is no STS. */
  principal(): string | null;
}

/** What is known of a file whatever became of it. */
export interface EntryFacts {
  readonly origin: Origin;
  readonly file: QueuedFile;
  readonly owner: string | null;
  readonly startedAt: Date;
}

/** A row without its id. */
type Entry = Omit<UnchainedRow, 'id'>;

/** The row of a file that S3 has acknowledged. */
export const uploadedRow = (facts: EntryFacts, object: StoredObject, contentType: string, uploadedAt: Date): Entry => ({
  ...bareRow(facts),
  status: 'uploaded',
  sha256: object.sha256,
  content_type: contentType,
  object_key: object.key,
  version_id: object.versionId,
  etag: object.etag,
  s3_request_id: object.requestId,
  checksum_type: object.checksumType,
  checksum: object.checksum,
  part_count: object.partCount,
  uploaded_at: uploadedAt.toISOString(),
});

/** The row of a file whose content an object of the same path has already; `of` is the ledger id of that one. */
export const duplicateRow = (facts: EntryFacts, same: { key: string; sha256: string; of: string }): Entry => ({
  ...bareRow(facts),
  status: 'duplicate',
  sha256: same.sha256,
  object_key: same.key,
  duplicate_of: same.of,
});

/** The row of a file that goes to quarantine. */
export const failedRow = (facts: EntryFacts, error: string): Entry => ({ ...bareRow(facts), status: 'failed', error });

const bareRow = ({ origin, file, owner, startedAt }: EntryFacts) => ({
  file_id: file.fileId,
  host: origin.host,
  instance: origin.instance,
  path: textOf(file.path),
  size_bytes: file.identity.size,
  sha256: null,
  modified_at: modifiedAt(file.identity.mtimeNs).toISOString(),
  file_owner: owner,
  content_type: null,
  bucket: origin.bucket,
  object_key: null,
  version_id: null,
  etag: null,
  s3_request_id: null,
  checksum_type: null,
  checksum: null,
  part_count: null,
  error: null,
  duplicate_of: null,
  attempts: file.attempts + 1,
  detected_at: file.detectedAt.toISOString(),
  started_at: startedAt.toISOString(),
  uploaded_at: null,
  principal: origin.principal(),
  daemon_version: origin.daemonVersion,
});

/** File systems take any time; a timestamp of ISO 8601 has four digits for the year. */
function modifiedAt(mtimeNs: bigint): Date {
  const ms = Number(mtimeNs / 1_000_000n);
  return new Date(Math.min(Math.max(ms, earliestMs), latestMs));
}

const earliestMs = Date.parse('0001-01-01T00:00:00.000Z');
const latestMs = Date.parse('9999-12-31T23:59:59.999Z');
