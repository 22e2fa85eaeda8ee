import { createHash, createHmac, type Hash } from 'node:crypto';
import { s3Error } from './s3-error.ts';
import { type Authentication, equal } from './signature.ts';

/**
 * The `aws-chunked` framing of the S3 API reference ("Signature Calculations … Chunked Upload", with and without
 * trailing headers):
 *
 *     SIZE-IN-HEX[;chunk-signature=HEX]\r\n DATA \r\n … 0[;chunk-signature=HEX]\r\n [name:value\r\n …] \r\n
 */
export interface ChunkDecoder {
  /** Takes what arrived; gives the data in it. Throws S3's errors on bad framing, a bad signature. */
  push(received: Buffer): Buffer[];
  /** At the end of the body: the trailing headers, lower case. Throws IncompleteBody where the last chunk is missing. */
  end(): ReadonlyMap<string, string>;
}

const minChunkBytes = 8192;
const maxLineBytes = 16 * 1024;

/** `chain` verifies the signatures of a signed stream; undefined for an unsigned one. */
export function createChunkDecoder(chain: SignatureChain | undefined): ChunkDecoder {
  let state: 'header' | 'data' | 'data-end' | 'trailer' | 'done' = 'header';
  let line = Buffer.alloc(0);
  let left = 0;
  let size = 0;
  let signature: string | undefined;
  const trailers = new Map<string, string>();

  function startChunk(text: string): void {
    const match = /^([0-9a-f]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(text);
    if (match?.[1] === undefined || (chain !== undefined) !== (match[2] !== undefined)) throw s3Error('IncompleteBody');
    const before = size;
    size = Number.parseInt(match[1], 16);
    signature = match[2];
    if (size > 0 && before > 0 && before < minChunkBytes) throw s3Error('InvalidChunkSizeError');
    left = size;
    state = 'data';
    if (size === 0) {
      if (signature !== undefined) chain?.verifyChunk(signature);
      state = 'trailer';
    }
  }

  function takeTrailer(text: string): void {
    if (text === '') {
      finishTrailers();
      state = 'done';
      return;
    }
    const colon = text.indexOf(':');
    if (colon < 1) throw s3Error('MalformedTrailerError');
    trailers.set(text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim());
  }

  function finishTrailers(): void {
    const trailerSignature = trailers.get('x-amz-trailer-signature');
    trailers.delete('x-amz-trailer-signature');
    if (chain === undefined || trailers.size === 0) return;
    if (trailerSignature === undefined) throw s3Error('MalformedTrailerError');
    chain.verifyTrailers(trailers, trailerSignature);
  }

  /** Completes a line from `received` at `at`; the position after it, or the end where the line goes on. */
  function takeLine(received: Buffer, at: number): number {
    const newline = received.indexOf(10, at);
    const end = newline < 0 ? received.length : newline + 1;
    line = Buffer.concat([line, received.subarray(at, end)]);
    if (line.length > maxLineBytes) throw s3Error('IncompleteBody');
    if (newline < 0) return end;
    const text = line.toString('latin1').replace(/\r?\n$/, '');
    line = Buffer.alloc(0);
    if (state === 'header') startChunk(text);
    else if (state === 'trailer') takeTrailer(text);
    else if (text === '') state = 'header';
    else throw s3Error('IncompleteBody');
    return end;
  }

  return {
    push(received) {
      const data: Buffer[] = [];
      for (let at = 0; at < received.length && state !== 'done'; ) {
        if (state !== 'data') {
          at = takeLine(received, at);
          continue;
        }
        const piece = received.subarray(at, at + left);
        at += piece.length;
        left -= piece.length;
        chain?.update(piece);
        data.push(piece);
        if (left > 0) continue;
        if (signature !== undefined) chain?.verifyChunk(signature);
        state = 'data-end';
      }
      return data;
    },
    end() {
      if (state !== 'done') throw s3Error('IncompleteBody');
      return trailers;
    },
  };
}

/** Each signature signs the one before it: the first is that of the request itself. */
export interface SignatureChain {
  update(data: Buffer): void;
  /** Of the chunk whose data was given to `update` since the last call. Throws SignatureDoesNotMatch. */
  verifyChunk(signature: string): void;
  verifyTrailers(trailers: ReadonlyMap<string, string>, signature: string): void;
}

const emptyHash = createHash('sha256').digest('hex');

export function createSignatureChain({ signingKey, signature, timestamp, scope }: Authentication): SignatureChain {
  let previous = signature;
  let hash: Hash = createHash('sha256');

  function verify(kind: string, hashes: readonly string[], given: string): void {
    const stringToSign = [kind, timestamp, scope, previous, ...hashes].join('\n');
    if (!equal(createHmac('sha256', signingKey).update(stringToSign).digest(), given)) {
      throw s3Error('SignatureDoesNotMatch', { details: { StringToSign: stringToSign, SignatureProvided: given } });
    }
    previous = given;
  }

  return {
    update(data) {
      hash.update(data);
    },
    verifyChunk(given) {
      verify('AWS4-HMAC-SHA256-PAYLOAD', [emptyHash, hash.digest('hex')], given);
      hash = createHash('sha256');
    },
    verifyTrailers(trailers, given) {
      let canonical = '';
      for (const [name, value] of trailers) canonical += `${name}:${value}\n`;
      verify('AWS4-HMAC-SHA256-TRAILER', [createHash('sha256').update(canonical).digest('hex')], given);
    },
  };
}
