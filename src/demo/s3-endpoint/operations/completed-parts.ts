import { s3Error } from '../s3-error.ts';
import type { PartRecord, UploadRecord } from '../store/catalog.ts';
import { childText, parseXml } from '../xml.ts';

/** A part as CompleteMultipartUpload lists it. */
export interface CompletedPart {
  readonly number: number;
  /** Without its quotes. */
  readonly etag: string;
  /** Element name (`ChecksumCRC32`…) → base64. */
  readonly checksums: ReadonlyMap<string, string>;
}

/** Every part but the last has 5 MiB at least ("Multipart upload limits" of the S3 user guide). */
const minPartBytes = 5 * 1024 * 1024;

/** Throws MalformedXML. */
export function parseCompletedParts(text: string): CompletedPart[] {
  const document = parseXml(text);
  const parts = document?.children.filter(({ name }) => name === 'Part');
  if (document?.name !== 'CompleteMultipartUpload' || parts === undefined || parts.length === 0) {
    throw s3Error('MalformedXML');
  }
  return parts.map((part) => {
    const number = childText(part, 'PartNumber') ?? '';
    const etag = childText(part, 'ETag');
    if (!/^\d{1,5}$/.test(number) || etag === undefined) throw s3Error('MalformedXML');
    const checksums = part.children.filter(({ name }) => name.startsWith('Checksum'));
    return {
      number: Number(number),
      etag: etag.trim().replace(/^"|"$/g, ''),
      checksums: new Map(checksums.map(({ name, text: value }) => [name, value])),
    };
  });
}

/** The stored parts that are listed. Throws InvalidPartOrder, InvalidPart, EntityTooSmall, InvalidRequest. */
export function selectParts(
  listed: readonly CompletedPart[],
  stored: readonly PartRecord[],
  upload: UploadRecord['checksum'],
): PartRecord[] {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  let before = 0;
  const selected = listed.map((part) => {
    if (part.number <= before) throw s3Error('InvalidPartOrder');
    before = part.number;
    const found = byNumber.get(part.number);
    if (found === undefined || found.etag !== part.etag || !sameChecksum(part, found, upload)) {
      throw s3Error('InvalidPart', { details: { PartNumber: String(part.number), ETag: part.etag } });
    }
    return found;
  });
  for (const part of selected.slice(0, -1)) {
    if (part.size >= minPartBytes) continue;
    throw s3Error('EntityTooSmall', {
      details: {
        ProposedSize: String(part.size),
        MinSizeAllowed: String(minPartBytes),
        PartNumber: String(part.number),
        ETag: part.etag,
      },
    });
  }
  return selected;
}

/** A composite upload wants each part's checksum once more; where one is given it has to be the part's. */
function sameChecksum(listed: CompletedPart, stored: PartRecord, upload: UploadRecord['checksum']): boolean {
  const given = upload && listed.checksums.get(`Checksum${upload.algorithm}`);
  if (given !== undefined) return given === stored.checksum;
  if (upload?.type !== 'COMPOSITE') return true;
  throw s3Error('InvalidRequest', {
    message:
      `The upload was created using a ${upload.algorithm.toLowerCase()} checksum. The complete request must include ` +
      `the checksum for each part. It was missing for part ${listed.number} in the request.`,
  });
}
