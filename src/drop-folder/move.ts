import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { lstat, open, rename, rm } from 'node:fs/promises';
import type { FileIdentity, RelativePath } from '../model.ts';
import { codeOf } from '../service/errors.ts';
import { bytesOf } from '../service/path-bytes.ts';
import { nameWithId } from './file-names.ts';
import { type FolderHandle, identityOf, isForbidden, isGone, sameFile } from './folder.ts';

/** What a move came to. Nothing is ever replaced, and nothing but the file that was meant stays moved. */
export type MoveOutcome =
  | { readonly kind: 'moved'; readonly name: RelativePath }
  /** Nothing is there any longer, or another file than the one that was uploaded. */
  | { readonly kind: 'gone' }
  /** Permissions, or a mount of its own: the file stays where it is. */
  | { readonly kind: 'not-movable'; readonly reason: string };

/** The places of one file's move: two open folders, the name in the first, names to try in the second. */
export interface Move {
  readonly from: FolderHandle;
  readonly name: RelativePath;
  readonly identity: FileIdentity;
  readonly to: FolderHandle;
  readonly names: readonly RelativePath[];
  /** What belongs beside the moved file and is written before it comes; false where its name is taken. */
  readonly companion?: { write(name: RelativePath): Promise<boolean>; remove(name: RelativePath): Promise<void> };
}

/**
 * Renames first and looks after: between a look and a rename somebody could put another file there. What turns out
 * not to be the file that was meant is put back, without replacing what may have taken its place.
 */
export async function moveFile(move: Move): Promise<MoveOutcome> {
  const { from, name, identity, to, companion } = move;
  const before = await identityOfEntry(from, name);
  if (before === undefined || !sameFile(before, identity, { moved: true })) return { kind: 'gone' };
  const target = await claimName(move);
  try {
    await rename(from.entry(name), to.entry(target));
  } catch (error) {
    await removeEntry(to, target);
    await companion?.remove(target);
    if (isGone(error)) return { kind: 'gone' };
    if (isForbidden(error) || isOtherMount(error)) return { kind: 'not-movable', reason: explain(error) };
    throw error;
  }
  const moved = await identityOfEntry(to, target);
  if (moved !== undefined && sameFile(moved, identity, { moved: true })) return { kind: 'moved', name: target };
  await companion?.remove(target);
  await putBack(to, target, from, name);
  return { kind: 'gone' };
}

async function claimName({ to, names, companion }: Move): Promise<RelativePath> {
  for (const name of names) {
    if (!(await reserve(to, name))) continue;
    if (companion === undefined || (await companion.write(name))) return name;
    await removeEntry(to, name);
  }
  throw new Error('every name for the file is taken');
}

/**
 * A rename would replace a namesake, and `link` is refused for other users' files. So the name is taken first, by an
 * empty file without any permission bits, and the rename replaces that. One that a crash left behind is used again.
 */
async function reserve(to: FolderHandle, name: RelativePath): Promise<boolean> {
  try {
    const handle = await open(to.entry(name), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0);
    await handle.close();
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return isReservation(to, name);
    throw error;
  }
}

async function isReservation(folder: FolderHandle, name: RelativePath): Promise<boolean> {
  const stats = await lstat(folder.entry(name));
  return stats.isFile() && stats.size === 0 && (stats.mode & 0o777) === 0 && stats.uid === process.geteuid?.();
}

/**
 * Moves a file back under its name, or another where that one is taken. `mv -nT` asks the kernel not to replace
 * (renameat2 with RENAME_NOREPLACE), which Node cannot; xargs, because names are bytes and arguments of a child are not.
 */
export async function putBack(from: FolderHandle, name: RelativePath, to: FolderHandle, as: RelativePath) {
  for (const target of [as, nameWithId(as, randomUUID())]) {
    await run('xargs', ['-0', 'mv', '-nT', '--'], {
      input: Buffer.concat([
        Buffer.from('/proc/self/fd/3/'),
        bytesOf(name),
        nul,
        Buffer.from('/proc/self/fd/4/'),
        bytesOf(target),
        nul,
      ]),
      descriptors: [from.fd, to.fd],
    });
    if ((await identityOfEntry(from, name)) === undefined) return;
  }
}

const nul = Buffer.from([0]);

/** Runs a program to its end, whatever its exit code; the descriptors are its 3, 4, … */
async function run(
  program: string,
  args: readonly string[],
  { input, descriptors }: { input: Buffer; descriptors: readonly number[] },
) {
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore', ...descriptors] });
  const ended = once(child, 'close');
  child.stdin?.end(input);
  await ended;
}

/** What is under that name in an open folder; undefined where no regular file is. */
export const identityOfEntry = async (folder: FolderHandle, name: RelativePath): Promise<FileIdentity | undefined> => {
  try {
    const stats = await lstat(folder.entry(name), { bigint: true });
    return stats.isFile() ? identityOf(stats) : undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
};

const isOtherMount = (error: unknown): boolean => codeOf(error) === 'EXDEV';

function explain(error: unknown): string {
  if (isOtherMount(error)) return 'the target is on another mount (EXDEV)';
  return 'the service user may not move files out of this folder';
}

/** Unlinks a file of an open folder; one that is gone already is fine. */
export async function removeEntry(folder: FolderHandle, name: RelativePath): Promise<void> {
  await rm(folder.entry(name), { force: true });
}
