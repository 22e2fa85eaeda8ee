import { constants } from 'node:fs';
import type { RelativePath } from '../model.ts';
import { codeOf } from '../service/errors.ts';
import type { FolderHandle } from './folder.ts';

/**
 * A rename would replace a namesake, and `link` is refused for other users' files. So the name is taken first, by an
 * empty file of ours without any permission bits, and the rename replaces that. One that a crash left behind is used
 * again.
 */
export async function reserveName(to: FolderHandle, name: RelativePath): Promise<boolean> {
  try {
    await to.calls.close(await to.calls.open(to.entry(name), createFlags));
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return isReservation(to, name);
    throw error;
  }
}

/** Whether there is an empty file without permissions under that name: a name that was taken, and not used. */
export async function isReservation({ calls, entry }: FolderHandle, name: RelativePath): Promise<boolean> {
  const stats = await calls.lstat(entry(name));
  if (stats === undefined) return false;
  return (
    stats.isFile() && stats.size === 0n && (stats.mode & 0o777n) === 0n && Number(stats.uid) === process.geteuid?.()
  );
}

const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
