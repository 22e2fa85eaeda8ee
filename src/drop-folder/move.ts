import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { BigIntStats } from 'node:fs';
import type { FileIdentity, RelativePath } from '../model.ts';
import { codeOf, LocalFailure } from '../service/errors.ts';
import { bytesOf, textOf } from '../service/path-bytes.ts';
import { nameWithId } from './file-names.ts';
import { type FolderHandle, identityOf, isForbidden, isGone, sameFile } from './folder.ts';
import type { NameReserver } from './reserve-name.ts';

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
  readonly reserver: NameReserver;
  /** The name in `to` that the next file will ask for; undefined where this is the last. */
  readonly next?: RelativePath | undefined;
  /** What belongs beside the moved file and is written before it comes; false where its name is taken. */
  readonly companion?: { write(name: RelativePath): Promise<boolean>; remove(name: RelativePath): Promise<void> };
}

/**
 * Renames first and looks after: between a look and a rename somebody could put another file there. What turns out
 * not to be the file that was meant is put back, without replacing what may have taken its place.
 */
export async function moveFile(move: Move): Promise<MoveOutcome> {
  const { from, name, identity, to, reserver, next, companion } = move;
  const before = await identityOfEntry(from, name);
  if (before === undefined || !sameFile(before, identity, { moved: true })) return { kind: 'gone' };
  const target = await claimName(move);
  if (next !== undefined) await reserver.passOn(target, next);
  try {
    await from.calls.rename(from.entry(name), to.entry(target));
  } catch (error) {
    await removeEntry(to, target);
    await companion?.remove(target);
    if (isGone(error) && (await identityOfEntry(from, name)) === undefined) return { kind: 'gone' };
    if (isForbidden(error) || isOtherMount(error)) return { kind: 'not-movable', reason: explain(error) };
    throw error;
  }
  const moved = await identityOfEntry(to, target);
  if (moved !== undefined && sameFile(moved, identity, { moved: true })) return { kind: 'moved', name: target };
  await companion?.remove(target);
  await putBack(to, target, from, name);
  return { kind: 'gone' };
}

async function claimName({ to, names, reserver, companion }: Move): Promise<RelativePath> {
  for (const name of names) {
    if (!(await reserver.take(name))) continue;
    try {
      if (companion === undefined || (await companion.write(name))) return name;
    } catch (error) {
      await companion?.remove(name).catch(() => undefined);
      await removeEntry(to, name).catch(() => undefined);
      throw error;
    }
    await removeEntry(to, name);
  }
  throw new Error('every name for the file is taken');
}

/**
 * Moves a file back under its name, or another where that one is taken. `mv -nT` asks the kernel not to replace
 * (renameat2 with RENAME_NOREPLACE), which Node cannot; xargs, because names are bytes and arguments of a child are not.
 * Where they are not installed, it looks before it renames.
 * @throws LocalFailure where nothing helps: then the file stays where it was moved to.
 */
export async function putBack(
  from: FolderHandle,
  name: RelativePath,
  to: FolderHandle,
  as: RelativePath,
): Promise<void> {
  let failure: unknown;
  for (const target of [as, nameWithId(as, randomUUID())]) {
    try {
      await moveWithoutReplacing(from, name, to, target);
    } catch (error) {
      failure = error;
      if ((await statsOfEntry(to, target)) === undefined) await from.calls.rename(from.entry(name), to.entry(target));
    }
    if ((await statsOfEntry(from, name)) === undefined) return;
  }
  throw new LocalFailure(`another file came in between, and could not be put back: it is called ${textOf(name)} now`, {
    hint: 'move it from the archive or the quarantine back into the drop folder',
    cause: failure,
  });
}

/** Resolves whether or not it worked; rejects where `xargs` is not installed. */
export const moveWithoutReplacing = (from: FolderHandle, name: RelativePath, to: FolderHandle, target: RelativePath) =>
  run('xargs', ['-0', 'mv', '-nT', '--'], {
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

const nul = Buffer.from([0]);

/** Runs a program to its end, whatever its exit code; the descriptors are its 3, 4, … Throws where it cannot be started. */
async function run(
  program: string,
  args: readonly string[],
  { input, descriptors }: { input: Buffer; descriptors: readonly number[] },
) {
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore', ...descriptors] });
  const ended = once(child, 'close');
  child.stdin?.on('error', () => undefined); // it ended before it read all of it
  child.stdin?.end(input);
  await ended;
}

/** What is under that name in an open folder; undefined where no regular file is. */
export async function identityOfEntry(folder: FolderHandle, name: RelativePath): Promise<FileIdentity | undefined> {
  const stats = await statsOfEntry(folder, name);
  return stats?.isFile() ? identityOf(stats) : undefined;
}

/** What is under that name, of whatever kind; undefined where nothing is. */
export const statsOfEntry = async (folder: FolderHandle, name: RelativePath): Promise<BigIntStats | undefined> =>
  folder.calls.lstat(folder.entry(name));

const isOtherMount = (error: unknown): boolean => codeOf(error) === 'EXDEV';

function explain(error: unknown): string {
  if (isOtherMount(error)) return 'the target is on another mount (EXDEV)';
  return 'the service user may not move files out of this folder';
}

/** Unlinks a file of an open folder; one that is gone already is fine. */
export async function removeEntry(folder: FolderHandle, name: RelativePath): Promise<void> {
  try {
    await folder.calls.unlink(folder.entry(name));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}
