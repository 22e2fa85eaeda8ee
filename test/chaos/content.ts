import { createHash } from 'node:crypto';

/** What is written into a file: made of these two alone, so that it need not be kept. */
export interface Content {
  /** No two contents of a run have the same, but those that are meant to be equal. */
  readonly token: string;
  /** Bytes. */
  readonly size: number;
}

const blockBytes = 4096;

/** Every block names the content and its own place: bytes of two contents mixed, or out of order, show in the hash. */
export function bytesOfContent({ token, size }: Content): Buffer {
  const bytes = Buffer.alloc(size, `${token}|`);
  for (let at = 0; at < size; at += blockBytes) bytes.write(`${at}:`, at);
  return bytes;
}

/** The sha256 (hex) of bytes that come piece by piece, after each piece. */
export function createRunningSha256() {
  const hash = createHash('sha256');
  return {
    add(bytes: Uint8Array): string {
      hash.update(bytes);
      return hash.copy().digest('hex');
    },
  };
}

export const sha256OfBytes = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
