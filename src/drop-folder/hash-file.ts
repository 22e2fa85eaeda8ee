import { createHash } from 'node:crypto';
import { read as readCallback } from 'node:fs';
import { promisify } from 'node:util';
import type { OpenFile } from '../model.ts';

const read = promisify(readCallback);
const pieceBytes = 2 ** 20;

/** Hex sha256 over the file's `identity.size` bytes; undefined where it has fewer by now. */
export async function hashFile({ fd, identity }: OpenFile, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(Math.min(pieceBytes, Math.max(identity.size, 1)));
  for (let at = 0; at < identity.size; ) {
    signal.throwIfAborted();
    const { bytesRead } = await read(fd, piece, 0, Math.min(piece.length, identity.size - at), at);
    if (bytesRead === 0) return undefined;
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash.digest('hex');
}
