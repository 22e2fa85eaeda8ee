import type { Dir, Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import type { RelativePath } from '../model.ts';
import { joinPath, pathFromBytes } from '../service/path-bytes.ts';
import { type Folder, isGone, pathIn } from './folder.ts';
import type { IgnoreName } from './ignore.ts';

/** What one walk through the whole folder came upon. */
export interface ScanTotals {
  readonly files: number;
  readonly folders: number;
  /** Entries hidden by a rule; an ignored folder counts once. */
  readonly ignored: number;
  /** Symlinks, FIFOs, sockets, devices. */
  readonly special: number;
  /** Folders that could not be read. */
  readonly unreadable: number;
}

export interface ScanOptions {
  readonly folder: Folder;
  readonly ignore: IgnoreName;
  /** Called for each regular file; the walk goes on when it resolves. */
  onFile(path: RelativePath): Promise<void> | void;
  onUnreadable(path: RelativePath, error: unknown): void;
}

/**
 * Walks the drop folder once, names as bytes, and never follows a symlink. It looks at names alone (`readdir` tells
 * files from folders), so that 100,000 files cost a fraction of a second.
 */
export async function scan({ folder, ignore, onFile, onUnreadable }: ScanOptions, signal: AbortSignal) {
  const totals = { files: 0, folders: 0, ignored: 0, special: 0, unreadable: 0 };
  const waiting: RelativePath[] = ['' as RelativePath];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    try {
      for await (const entry of await openFolderForNames(pathIn(folder, at))) {
        signal.throwIfAborted();
        const name = pathFromBytes(entry.name as unknown as Uint8Array);
        const path = joinPath(at, name);
        const kind = ignore(name) === undefined ? await kindOf(entry, pathIn(folder, path)) : 'ignored';
        if (kind === 'folder') waiting.push(path);
        else totals[kind] += 1;
        if (kind === 'files') await onFile(path);
      }
      totals.folders += 1;
    } catch (error) {
      if (signal.aborted || !isReadFailure(error)) throw error;
      if (isGone(error) && at !== '') continue; // moved away while we walked: the next scan finds it where it is
      totals.unreadable += 1;
      onUnreadable(at, error);
    }
  }
  return totals satisfies ScanTotals;
}

/** `opendir` with names as bytes: the types of Node know strings alone. */
const openFolderForNames = (path: Buffer): Promise<Dir & AsyncIterable<Dirent>> =>
  opendir(path as unknown as string, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 });

/** Some file systems do not tell kinds in `readdir` (DT_UNKNOWN): those entries are looked at. */
async function kindOf(entry: Dirent, path: Buffer): Promise<'files' | 'folder' | 'special'> {
  const isKnown = entry.isFile() || entry.isDirectory() || isSpecial(entry);
  const what = isKnown ? entry : await lstat(path).catch(() => entry);
  if (what.isDirectory()) return 'folder';
  return what.isFile() ? 'files' : 'special';
}

const isSpecial = (entry: Dirent): boolean =>
  entry.isSymbolicLink() || entry.isFIFO() || entry.isSocket() || entry.isCharacterDevice() || entry.isBlockDevice();

const isReadFailure = (error: unknown): boolean =>
  /dir$/.test(String((error as { syscall?: unknown } | null)?.syscall));
