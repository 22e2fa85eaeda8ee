import { createHash, type Hash } from 'node:crypto';
import { crc32, crc32c } from '@node-rs/crc32';
import { header, type S3Request } from './request.ts';
import { s3Error } from './s3-error.ts';

/** The `x-amz-checksum-*` algorithms that are verified here. S3 has CRC64NVME and others as well: NotImplemented. */
export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'SHA1' | 'SHA256';
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT';

/** `value` is base64, as S3 writes it: of a composite one with `-N` behind it. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
}

/** Bytes of each digest. */
const digestBytes: Readonly<Record<ChecksumAlgorithm, number>> = { CRC32: 4, CRC32C: 4, SHA1: 20, SHA256: 32 };

export const checksumHeader = (algorithm: ChecksumAlgorithm): string => `x-amz-checksum-${algorithm.toLowerCase()}`;

/** The name's algorithm, in whatever case; throws NotImplemented or InvalidRequest. */
export function checksumAlgorithm(name: string): ChecksumAlgorithm {
  const upper = name.toUpperCase();
  if (upper in digestBytes) return upper as ChecksumAlgorithm;
  if (/^(CRC64NVME|SHA512|MD5|XXHASH\w+)$/.test(upper)) {
    throw s3Error('NotImplemented', { message: `The checksum algorithm ${upper} is not implemented` });
  }
  throw s3Error('InvalidRequest', {
    message:
      'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
  });
}

/** Whether a checksum of this algorithm can be of this type (S3 user guide, "Checking object integrity"). */
export const supportsType = (algorithm: ChecksumAlgorithm, type: ChecksumType): boolean =>
  type === 'COMPOSITE' || algorithm === 'CRC32' || algorithm === 'CRC32C';

/** A checksum's base64, checked for form: InvalidRequest where it can't be one. */
export function checkedValue(algorithm: ChecksumAlgorithm, value: string): string {
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length === digestBytes[algorithm] && bytes.toString('base64') === value) return value;
  throw s3Error('InvalidRequest', { message: `Value for ${checksumHeader(algorithm)} header is invalid.` });
}

/** The checksum given in the headers, if one is. */
export function checksumOf(request: S3Request): Checksum | undefined {
  const names = Object.keys(request.headers).filter((name) => /^x-amz-checksum-(?!type$|algorithm$|mode$)/.test(name));
  const [name] = names;
  if (name === undefined) return undefined;
  if (names.length > 1) throw multipleChecksums();
  const algorithm = checksumAlgorithm(name.slice('x-amz-checksum-'.length));
  return { algorithm, value: checkedValue(algorithm, header(request, name) ?? '') };
}

const multipleChecksums = () =>
  s3Error('InvalidRequest', {
    message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
  });

/** The algorithm whose checksum the trailer is announced to bring, if one is. */
export function trailerAlgorithmOf(request: S3Request): ChecksumAlgorithm | undefined {
  const name = header(request, 'x-amz-trailer')?.trim().toLowerCase();
  if (name === undefined) return undefined;
  if (!name.startsWith('x-amz-checksum-')) {
    throw s3Error('InvalidRequest', { message: 'The value specified in the x-amz-trailer header is not supported' });
  }
  if (checksumOf(request) !== undefined) throw multipleChecksums();
  return checksumAlgorithm(name.slice('x-amz-checksum-'.length));
}

/** A digest that grows with the bytes. */
export interface RunningDigest {
  update(chunk: Buffer): void;
  /** Called once, at the end. */
  digest(): Buffer;
}

export function runningDigest(algorithm: ChecksumAlgorithm | 'MD5'): RunningDigest {
  if (algorithm === 'CRC32') return runningCrc(crc32);
  if (algorithm === 'CRC32C') return runningCrc(crc32c);
  const hash: Hash = createHash(algorithm.toLowerCase());
  return {
    update: (chunk) => {
      hash.update(chunk);
    },
    digest: () => hash.digest(),
  };
}

function runningCrc(next: (chunk: Buffer, before: number) => number): RunningDigest {
  let value = 0;
  return {
    update: (chunk) => {
      value = next(chunk, value);
    },
    digest: () => bytesOfCrc(value),
  };
}

function bytesOfCrc(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The checksum of a multipart object from those of its parts. `size` in bytes. */
export function checksumOfParts(
  algorithm: ChecksumAlgorithm,
  type: ChecksumType,
  parts: readonly { readonly checksum: string; readonly size: number }[],
): string {
  if (type === 'COMPOSITE') {
    const digest = runningDigest(algorithm);
    for (const { checksum } of parts) digest.update(Buffer.from(checksum, 'base64'));
    return `${digest.digest().toString('base64')}-${parts.length}`;
  }
  const polynomial = algorithm === 'CRC32' ? 0xedb88320 : 0x82f63b78;
  let crc = 0;
  for (const { checksum, size } of parts) {
    crc = (timesPowerOfX(crc, size, polynomial) ^ Buffer.from(checksum, 'base64').readUInt32BE()) >>> 0;
  }
  return bytesOfCrc(crc).toString('base64');
}

/**
 * A CRC's remainder moved past `bytes` more bytes: crc·x^(8·bytes) modulo the (bit-reflected) polynomial, by repeated
 * squaring. CRC(A‖B) is that of CRC(A), xor CRC(B): the initial and final inversions cancel out.
 */
function timesPowerOfX(crc: number, bytes: number, polynomial: number): number {
  let result = crc;
  let factor = 0x00800000; // x^8
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(result, factor, polynomial);
    factor = multiply(factor, factor, polynomial);
  }
  return result;
}

/** Product of two reflected polynomials over GF(2), bit 31 being x^0. */
function multiply(a: number, b: number, polynomial: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit -= 1) {
    if ((a >>> bit) & 1) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return product >>> 0;
}
