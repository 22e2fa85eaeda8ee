import type { OpenFile } from '../model.ts';

type Readable = Pick<OpenFile, 'read'>;

/** Fills the buffer from the file's `position`; false where the file ends before. */
export async function readFully(file: Readable, buffer: Uint8Array, position: number): Promise<boolean> {
  for (let filled = 0; filled < buffer.byteLength; ) {
    const rest = filled === 0 ? buffer : buffer.subarray(filled);
    const bytesRead = await file.read(rest, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}

/** It is not the file that it was when it was opened: cut, written to, replaced or taken away while it was read. */
export class FileChanged extends Error {}

/** The bytes of one range, in pieces with a buffer each. Throws `FileChanged`. */
export async function* readPieces(
  file: Readable,
  { start, length, pieceBytes = 256 * 1024 }: { start: number; length: number; pieceBytes?: number },
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < length; at += pieceBytes) {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, length - at));
    if (!(await readFully(file, piece, start + at))) throw new FileChanged('the file ended early');
    yield piece;
  }
}
