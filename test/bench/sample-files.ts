import { randomBytes, randomFillSync } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Finished files in a folder of their own. */
export interface SampleFiles {
  readonly folder: string;
  readonly count: number;
  /** Bytes of each. */
  readonly size: number;
}

const filesInAFolder = 1000;
const pieceBytes = 2 ** 22;

/** No two files are alike, and nothing in them can be compressed. */
export async function makeSampleFiles(folder: string, count: number, size: number): Promise<SampleFiles> {
  const piece = randomBytes(Math.min(size, pieceBytes));
  for (let n = 0; n < count; n += 1) {
    const parent = count > filesInAFolder ? join(folder, `d${Math.floor(n / filesInAFolder)}`) : folder;
    if (n % filesInAFolder === 0) await mkdir(parent, { recursive: true });
    const path = join(parent, `file-${n}.bin`);
    if (size <= pieceBytes) {
      piece.write(`${n};`);
      await writeFile(path, piece);
    } else {
      await writeLarge(path, size, piece);
    }
  }
  return { folder, count, size };
}

async function writeLarge(path: string, size: number, piece: Buffer): Promise<void> {
  await using file = await open(path, 'w');
  for (let at = 0; at < size; at += piece.length) {
    randomFillSync(piece, 0, Math.min(4096, piece.length));
    await file.write(piece, 0, Math.min(piece.length, size - at));
  }
}
