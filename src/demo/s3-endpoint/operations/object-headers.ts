import type { Call } from '../call.ts';
import { checksumHeader } from '../checksums.ts';
import { header } from '../request.ts';
import { s3Error } from '../s3-error.ts';
import type { ObjectRecord } from '../store/catalog.ts';

/** Headers of a put that are kept and answered as they came. */
const kept = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
  'x-amz-storage-class',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
];

/** "User-defined metadata is limited to 2 KB" (S3 user guide, "Working with object metadata"): names and values. */
const maxUserMetadataBytes = 2048;

/** What a put or CreateMultipartUpload says of the object. Throws MetadataTooLarge. */
export function describedHeaders({ request }: Pick<Call, 'request'>): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': header(request, 'content-type') ?? 'binary/octet-stream' };
  for (const name of kept) {
    const value = header(request, name);
    if (value !== undefined) headers[name] = value;
  }
  // `aws-chunked` is of the request's framing, not of the object.
  const encodings = headers['content-encoding']?.split(',').map((encoding) => encoding.trim());
  const encoding = encodings?.filter((name) => name !== 'aws-chunked').join(',');
  if (encoding) headers['content-encoding'] = encoding;
  else delete headers['content-encoding'];

  let metadataBytes = 0;
  for (const name of Object.keys(request.headers).filter((each) => each.startsWith('x-amz-meta-'))) {
    const value = header(request, name) ?? '';
    headers[name] = value;
    metadataBytes += name.length - 'x-amz-meta-'.length + value.length;
  }
  if (metadataBytes > maxUserMetadataBytes) {
    throw s3Error('MetadataTooLarge', {
      details: { Size: String(metadataBytes), MaxSizeAllowed: String(maxUserMetadataBytes) },
    });
  }
  return headers;
}

/** What a put answers about encryption. */
export function encryptionHeaders(headers: ObjectRecord['headers']): Record<string, string | undefined> {
  const names = ['x-amz-server-side-encryption', 'x-amz-server-side-encryption-aws-kms-key-id'];
  return Object.fromEntries(names.map((name) => [name, headers[name]]));
}

/** The checksum of a whole object, as headers. */
export function checksumHeaders(checksum: ObjectRecord['checksum']): Record<string, string> {
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}
