import { createHash } from 'node:crypto';
import type { RecordedRow } from '../../ledger/reader.ts';
import { metadataNames } from '../../s3/object-metadata.ts';
import type { ListedObject, ObjectHead, ObjectReader } from '../../s3/read-objects.ts';

/**
 * - `missing`: the ledger says it was stored, and it is not there.
 * - `replaced`: something else is there: another size, ETag, checksum, or another file's id in its metadata.
 * - `content`: its bytes were read, and their sha256 is another.
 * - `unknown`: it is in the bucket, and no row of the ledger tells of it.
 */
export interface Difference {
  readonly kind: 'missing' | 'replaced' | 'content' | 'unknown';
  readonly bucket: string;
  readonly key: string;
  /** `id` of the row; null for an unknown object. */
  readonly ledgerId: string | null;
  readonly detail: string;
}

export type UploadedRow = RecordedRow & { readonly object_key: string; readonly sha256: string };

/** A listing tells size and ETag; a head more. */
export type SeenObject = ListedObject & Partial<ObjectHead>;

/** What speaks against the object being the one that this row tells of; undefined where nothing does. */
export function differenceOf(row: UploadedRow, object: SeenObject | undefined): Difference | undefined {
  if (object === undefined) return differing('missing', row, `uploaded ${row.uploaded_at}, and not there any more`);
  const reasons = [
    object.size !== row.size_bytes && `it has ${object.size} bytes instead of ${row.size_bytes}`,
    isOther(row.etag, object.etag) && `its ETag is ${object.etag} instead of ${row.etag}`,
    row.checksum_type === 'CRC32' &&
      isOther(row.checksum, object.crc32) &&
      `its CRC32 is ${object.crc32} instead of ${row.checksum}`,
    isOther(row.file_id, object.metadata?.[metadataNames.fileId]) &&
      `it was stored for the file ${object.metadata?.[metadataNames.fileId]} instead of ${row.file_id}`,
  ].filter((reason) => reason !== false);
  if (reasons.length === 0) return undefined;
  return differing('replaced', row, `${reasons.join(', ')}; it is of ${object.lastModified.toISOString()}`);
}

/** Both are known, and not the same. */
const isOther = (recorded: string | null, seen: string | undefined): boolean =>
  Boolean(recorded) && Boolean(seen) && recorded?.replaceAll('"', '') !== seen;

/** Reads the whole object. Undefined where it is the very bytes that the row tells of. */
export async function contentDifferenceOf(
  row: UploadedRow,
  bucket: Pick<ObjectReader, 'get'>,
): Promise<Difference | undefined> {
  const body = await bucket.get(row.object_key);
  if (body === undefined) return differenceOf(row, undefined);
  const hash = createHash('sha256');
  for await (const bytes of body.bytes) hash.update(bytes);
  const sha256 = hash.digest('hex');
  return sha256 === row.sha256
    ? undefined
    : differing('content', row, `its sha256 is ${sha256} instead of ${row.sha256}`);
}

export const unknownObject = (bucket: string, { key, size, lastModified }: ListedObject): Difference => ({
  kind: 'unknown',
  bucket,
  key,
  ledgerId: null,
  detail: `${size} bytes of ${lastModified.toISOString()}, and the ledger has no row of it`,
});

const differing = (kind: Difference['kind'], row: UploadedRow, detail: string): Difference => ({
  kind,
  bucket: row.bucket,
  key: row.object_key,
  ledgerId: row.id,
  detail,
});
