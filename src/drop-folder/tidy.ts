import type { Dirent } from 'node:fs';
import { lstat, opendir, rmdir, unlink } from 'node:fs/promises';
import type { RelativePath } from '../model.ts';
import { joinPath, nameOf, parentOf, pathFromBytes } from '../service/path-bytes.ts';
import { type Folder, isGone, openInside, pathIn } from './folder.ts';

/** Removes those of the folders that are empty, and those above them that become so. */
export async function removeEmptyFolders(
  folder: Folder,
  paths: readonly RelativePath[],
  signal: AbortSignal,
): Promise<void> {
  for (const path of paths) {
    signal.throwIfAborted();
    for (let at = path; at !== ''; at = parentOf(at)) {
      if (!(await isRemoved(folder, at))) break;
    }
  }
}

/** `rmdir` removes nothing but an empty folder; one that is in use, or somebody else's, simply stays. */
async function isRemoved(folder: Folder, path: RelativePath): Promise<boolean> {
  try {
    await using parent = await openInside(folder, parentOf(path)); // no symlink leads it elsewhere
    await rmdir(parent.entry(nameOf(path)));
    return true;
  } catch {
    return false;
  }
}

/** Removes archived files that were moved there before `before`; resolves with how many. A rename sets the ctime. */
export async function pruneArchive(archive: Folder, before: Date, signal: AbortSignal): Promise<number> {
  let removed = 0;
  const prune = async (at: RelativePath): Promise<void> => {
    for await (const entry of await opendir(pathIn(archive, at) as unknown as string, {
      encoding: 'buffer' as never,
    })) {
      signal.throwIfAborted();
      const path = joinPath(at, pathFromBytes((entry as Dirent).name as unknown as Uint8Array));
      if (entry.isDirectory()) {
        await prune(path);
        await rmdir(pathIn(archive, path)).catch(() => undefined);
      } else if (entry.isFile() && (await lstat(pathIn(archive, path))).ctime < before) {
        await unlink(pathIn(archive, path));
        removed += 1;
      }
    }
  };
  await prune('' as RelativePath).catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
  return removed;
}
