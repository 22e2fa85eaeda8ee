import { createChunkDecoder, createSignatureChain, type SignatureChain } from './aws-chunked.ts';
import {
  type Checksum,
  type ChecksumAlgorithm,
  checkedValue,
  checksumHeader,
  checksumOf,
  type RunningDigest,
  runningDigest,
  trailerAlgorithmOf,
} from './checksums.ts';
import { header, type S3Request } from './request.ts';
import { s3Error } from './s3-error.ts';
import { type Authentication, equal } from './signature.ts';

/** Where the bytes go as they come. */
export interface Sink {
  write(chunk: Buffer): Promise<void> | void;
}

export interface ReceivedPayload {
  /** Bytes, without any framing. */
  readonly size: number;
  /** Where it was asked for, or had to be verified. */
  readonly md5: Buffer | undefined;
  /** The one the client sent, verified; else of the algorithm asked for. */
  readonly checksum: Checksum | undefined;
}

export interface PayloadWishes {
  readonly md5?: boolean;
  /** Computed where the client sends none. */
  readonly checksum?: ChecksumAlgorithm | undefined;
  /** The `x-amz-checksum-*` in the headers is not of this body: CompleteMultipartUpload's is of the object. */
  readonly checksumIsOfObject?: boolean;
  /** Called when the first byte is wanted: `Expect: 100-continue` is answered then. */
  readonly onStart?: () => void;
}

/**
 * Reads a request's body into `sink`, unframed, and verifies all that was said of it: length, SHA-256, chunk
 * signatures, `x-amz-checksum-*` in header or trailer, Content-MD5. Never holds more than a socket's chunk.
 */
export async function receivePayload(
  request: S3Request,
  authentication: Authentication,
  sink: Sink,
  wishes: PayloadWishes = {},
): Promise<ReceivedPayload> {
  const framing = framingOf(request, authentication);
  const contentMd5 = contentMd5Of(request);
  const inHeader = wishes.checksumIsOfObject === true ? undefined : checksumOf(request);
  const inTrailer = framing.decoder === undefined ? undefined : trailerAlgorithmOf(request);
  requireAnnouncedChecksum(request, inHeader?.algorithm ?? inTrailer);
  const algorithm = inHeader?.algorithm ?? inTrailer ?? wishes.checksum;

  const md5 = wishes.md5 === true || contentMd5 !== undefined ? runningDigest('MD5') : undefined;
  const checksum = algorithm === undefined ? undefined : runningDigest(algorithm);
  const sha256 = framing.sha256 === undefined ? undefined : runningDigest('SHA256');
  const digests = [md5, checksum, sha256].filter((digest): digest is RunningDigest => digest !== undefined);

  wishes.onStart?.();
  const size = await readBody(request, framing, async (chunk) => {
    for (const digest of digests) digest.update(chunk);
    await sink.write(chunk);
  });
  if (size !== framing.size) throw s3Error('IncompleteBody');
  if (sha256 !== undefined && !equal(sha256.digest(), framing.sha256 ?? '')) {
    throw s3Error('XAmzContentSHA256Mismatch');
  }
  const md5Digest = md5?.digest();
  if (contentMd5 !== undefined && md5Digest?.toString('base64') !== contentMd5) throw s3Error('BadDigest');
  if (algorithm === undefined || checksum === undefined) return { size, md5: md5Digest, checksum: undefined };
  const value = checksum.digest().toString('base64');
  const given = inHeader?.value ?? (inTrailer && checkedTrailer(inTrailer, framing.trailers()));
  if (given !== undefined && given !== value) {
    throw s3Error('BadDigest', { message: `The ${algorithm} you specified did not match the calculated checksum.` });
  }
  return { size, md5: md5Digest, checksum: { algorithm, value } };
}

interface Framing {
  /** Bytes of content that were announced. */
  readonly size: number;
  readonly decoder: ReturnType<typeof createChunkDecoder> | undefined;
  /** Hex, where the body as a whole was hashed by the client. */
  readonly sha256: string | undefined;
  trailers(): ReadonlyMap<string, string>;
}

const streaming = /^STREAMING-(AWS4-HMAC-SHA256-PAYLOAD(?:-TRAILER)?|UNSIGNED-PAYLOAD-TRAILER)$/;

function framingOf(request: S3Request, authentication: Authentication): Framing {
  const { contentSha256 } = authentication;
  const kind = streaming.exec(contentSha256)?.[1];
  if (kind !== undefined) {
    const chain: SignatureChain | undefined = kind.startsWith('AWS4')
      ? createSignatureChain(authentication)
      : undefined;
    const decoder = createChunkDecoder(chain);
    return {
      size: lengthOf(header(request, 'x-amz-decoded-content-length')),
      decoder,
      sha256: undefined,
      trailers: () => decoder.end(),
    };
  }
  const hashed = contentSha256 !== 'UNSIGNED-PAYLOAD';
  if (hashed && !/^[0-9a-f]{64}$/.test(contentSha256)) {
    throw s3Error('InvalidArgument', {
      message:
        'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, ' +
        'STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.',
    });
  }
  return {
    size: lengthOf(header(request, 'content-length')),
    decoder: undefined,
    sha256: hashed ? contentSha256 : undefined,
    trailers: () => new Map(),
  };
}

function lengthOf(text: string | undefined): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) throw s3Error('MissingContentLength');
  return Number(text);
}

/** Bytes of content that a request announces, before any of it is read. Throws MissingContentLength. */
export const announcedLength = (request: S3Request): number =>
  lengthOf(header(request, 'x-amz-decoded-content-length') ?? header(request, 'content-length'));

async function readBody(
  request: S3Request,
  { decoder, size: announced }: Framing,
  take: (chunk: Buffer) => Promise<void>,
): Promise<number> {
  let size = 0;
  // The socket outlives a refused body: what is left of it is read and dropped after the answer.
  const received: AsyncIterable<Buffer> = request.message.iterator({ destroyOnReturn: false });
  for await (const chunk of received) {
    for (const data of decoder?.push(chunk) ?? [chunk]) {
      size += data.length;
      if (size > announced) throw s3Error('IncompleteBody');
      await take(data);
    }
  }
  decoder?.end();
  return size;
}

function contentMd5Of(request: S3Request): string | undefined {
  const value = header(request, 'content-md5');
  if (value === undefined) return undefined;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length !== 16 || bytes.toString('base64') !== value) throw s3Error('InvalidDigest');
  return value;
}

function requireAnnouncedChecksum(request: S3Request, given: ChecksumAlgorithm | undefined): void {
  const announced = header(request, 'x-amz-sdk-checksum-algorithm');
  if (announced === undefined || given !== undefined) return;
  throw s3Error('InvalidRequest', {
    message:
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
  });
}

function checkedTrailer(algorithm: ChecksumAlgorithm, trailers: ReadonlyMap<string, string>): string {
  const value = trailers.get(checksumHeader(algorithm));
  if (value === undefined) throw s3Error('MalformedTrailerError');
  return checkedValue(algorithm, value);
}

/** A small body as a whole, such as an XML document. Verified like any other. */
export async function receiveDocument(
  request: S3Request,
  authentication: Authentication,
  { maxBytes, ...wishes }: PayloadWishes & { readonly maxBytes: number },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const sink: Sink = {
    write(chunk) {
      size += chunk.length;
      if (size > maxBytes) throw s3Error('MalformedXML');
      chunks.push(chunk);
    },
  };
  await receivePayload(request, authentication, sink, wishes);
  return Buffer.concat(chunks);
}
