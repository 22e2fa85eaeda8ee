import { createHash } from 'node:crypto';
import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { StagedFile } from './staging.ts';

/**
 * Which file an object is: the one that its key names, so that a person finds it. Keys that can't be file names, or
 * whose name is taken by a folder, are kept in `.escaped/`, under the SHA-256 of the key: nothing leaves the bucket.
 */

const escapedFolder = '.escaped';
const maxSegmentBytes = 255;

/** The path inside the bucket's folder that the key names; undefined where it can't be a file's. */
export function plainPath(key: string): string | undefined {
  const segments = key.split('/');
  if (segments[0] === escapedFolder) return undefined;
  const legal = (segment: string) =>
    segment !== '' && segment !== '.' && segment !== '..' && Buffer.byteLength(segment) <= maxSegmentBytes;
  return segments.every(legal) ? key : undefined;
}

export const escapedPath = (key: string): string => join(escapedFolder, createHash('sha256').update(key).digest('hex'));

/** What the system says where a file is in a folder's place, or a folder in a file's. */
const clashes = new Set(['EEXIST', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'ENAMETOOLONG']);

/** Makes the staged file the object's; gives its path inside `folder`. `current`: where the object is already. */
export function placeObject(folder: string, key: string, staged: StagedFile, current: string | undefined): string {
  const wanted = current ?? plainPath(key);
  if (wanted !== undefined) {
    try {
      moveInto(folder, wanted, staged);
      return wanted;
    } catch (error) {
      if (!clashes.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  const escaped = escapedPath(key);
  moveInto(folder, escaped, staged);
  return escaped;
}

function moveInto(folder: string, path: string, staged: StagedFile): void {
  const target = join(folder, path);
  try {
    staged.moveTo(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    mkdirSync(dirname(target), { recursive: true });
    staged.moveTo(target);
  }
}

/** Removes an object's file, and the folders that it leaves empty. */
export function removeObjectFile(folder: string, path: string): void {
  rmSync(join(folder, path), { force: true });
  for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) {
    try {
      rmdirSync(join(folder, parent));
    } catch {
      return; // others are in it
    }
  }
}
