import { crc32 } from '@node-rs/crc32';
import { withAttempts } from './attempts.ts';
import { crc32Base64, type S3Calls } from './calls.ts';
import { classifyS3Failure } from './errors.ts';
import { S3Failure } from './failure.ts';
import { abortUpload, probePatience as patience, probeKey } from './probe.ts';

/** What not every S3-compatible store has. */
export interface StoreAbilities {
  /** `If-None-Match: *` at a put: taken, or answered with 501. Whether it is kept to can't be told: that takes an object. */
  readonly conditionalWrites: boolean;
  /** It says that it verified the CRC32 it was sent; it says nothing; or it takes none in the list of parts. */
  readonly checksums: 'confirmed' | 'ignored' | 'refused';
}

interface Asked {
  /** They must sign the payload's hash. */
  readonly calls: S3Calls;
  readonly bucket: string;
  /** Expanded. */
  readonly prefix: string;
  readonly signal: AbortSignal;
}

const body = Buffer.from('x');
/** sha256 of nothing. */
const notItsSha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/**
 * Leaves nothing, and needs no more than the right to put and to abort. Not `checksummed`, it is asked nothing of
 * checksums and counts as one that ignores them. Throws the kinds of `errors.ts`.
 */
export async function askAbilities(asked: Asked & { readonly checksummed: boolean }): Promise<StoreAbilities> {
  try {
    const conditionalWrites = await takesConditionalPut(asked);
    return { conditionalWrites, checksums: asked.checksummed ? await whatItMakesOfChecksums(asked) : 'ignored' };
  } catch (error) {
    throw classifyS3Failure(error, asked.bucket);
  }
}

/** @throws ConfigError where the store knows no conditional writes. Leaves nothing. */
export async function proveConditionalPut(asked: Asked): Promise<void> {
  try {
    await offerWrongPut(asked);
  } catch (error) {
    throw classifyS3Failure(error, asked.bucket);
  }
}

async function takesConditionalPut(asked: Asked): Promise<boolean> {
  try {
    await offerWrongPut(asked);
    return true;
  } catch (error) {
    if (error instanceof S3Failure && error.status === 501) return false;
    throw error;
  }
}

/**
 * A conditional put that no store carries out, because neither digest is that of its body: the answer is 400, or 412
 * where the key exists. Throws `S3Failure` where it is another.
 */
async function offerWrongPut({ calls, prefix, signal }: Asked): Promise<void> {
  const object = { key: probeKey(prefix), contentType: 'application/octet-stream', metadata: {}, onlyIfAbsent: true };
  const digests = { crc32: crc32(body) ^ 1, sha256: notItsSha256 };
  const send = () => calls.putObject({ ...object, body, size: body.length, ...digests }, { signal });
  try {
    await withAttempts(send, { patience, signal, again: ({ status = 500 }) => status >= 500 && status !== 501 });
  } catch (error) {
    if (error instanceof S3Failure && (error.status === 400 || error.status === 412)) return;
    throw error;
  }
}

/** By a part of one byte, and a list that names another one; then the upload is aborted. */
async function whatItMakesOfChecksums({ calls, prefix, signal }: Asked): Promise<StoreAbilities['checksums']> {
  const key = probeKey(prefix);
  const head = { key, contentType: 'application/octet-stream', metadata: {}, checksummed: true };
  const { uploadId } = await withAttempts(() => calls.createMultipartUpload(head, { signal }), { patience, signal });
  try {
    const checksum = crc32(body);
    const part = { key, uploadId, number: 1, body, size: body.length, crc32: checksum, sha256: undefined };
    const answer = await withAttempts(() => calls.uploadPart(part, { signal }), { patience, signal });
    const neverSent = { number: 2, etag: `"${'0'.repeat(32)}"`, crc32: checksum, size: body.length };
    const list = { key, uploadId, parts: [neverSent], size: body.length, crc32: checksum, onlyIfAbsent: false };
    const refusal = await calls.completeMultipartUpload(list, { signal }).catch((error: unknown) => error);
    if (refusal instanceof S3Failure && refusal.code === 'MalformedXML') return 'refused';
    return answer.crc32 === crc32Base64(checksum) ? 'confirmed' : 'ignored';
  } finally {
    await abortUpload(calls, key, uploadId, signal);
  }
}
