import { createHash } from 'node:crypto';
import type { OpenFile } from '../model.ts';

const pieceBytes = 2 ** 20;

/** Hex sha256 over the file's `identity.size` bytes; undefined where it has fewer by now. */
export async function hashFile(file: OpenFile, signal: AbortSignal): Promise<string | undefined> {
  const { identity } = file;
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(Math.min(pieceBytes, Math.max(identity.size, 1)));
  for (let at = 0; at < identity.size; ) {
    signal.throwIfAborted();
    const bytesRead = await file.read(piece.subarray(0, Math.min(piece.length, identity.size - at)), at);
    if (bytesRead === 0) return undefined;
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash.digest('hex');
}
