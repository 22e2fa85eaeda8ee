import { type BigIntStats, constants, fsync } from 'node:fs';
import { mkdir, realpath, stat, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { FileIdentity, RelativePath } from '../model.ts';
import { currentUser } from '../service/current-user.ts';
import { ConfigError, codeOf, messageOf } from '../service/errors.ts';
import { bytesOf } from '../service/path-bytes.ts';
import { createFileCalls, type FileCalls } from './file-calls.ts';

/** A folder of the daemon's (drop folder, archive, quarantine), by its real path: no symlink on the way. */
export interface Folder {
  /** As bytes: a folder's own name may be hostile too. */
  readonly path: Buffer;
  readonly dev: bigint;
  readonly ino: bigint;
  /** For what lies in it. */
  readonly calls: FileCalls;
}

/**
 * Resolves a configured folder once, at start.
 * @throws ConfigError where it is missing or no folder.
 */
export async function openFolder(path: string, configKey: string): Promise<Folder> {
  const hint = `name a folder in ${configKey}`;
  try {
    const real = await realpath(Buffer.from(path), { encoding: 'buffer' });
    const stats = await stat(real, { bigint: true });
    if (!stats.isDirectory()) throw new ConfigError(`${configKey}: ${path} is not a folder`, { hint });
    const calls = createFileCalls({ onNetwork: (await networkFileSystemOf({ path: real })) !== undefined });
    return { path: real, dev: stats.dev, ino: stats.ino, calls };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${configKey}: ${path}: ${messageOf(error)}`, {
      hint:
        codeOf(error) === 'ENOENT'
          ? `${folderCommand(path)}, or name another ${configKey}`
          : `namei -l ${path} shows who keeps ${currentUser()} out`,
      cause: error,
    });
  }
}

/** The command that makes a folder, or makes it that of the service; systemd-tmpfiles does so for those of the packages. */
export const folderCommand = (path: string): string =>
  path.startsWith('/srv/dropledger/')
    ? 'systemd-tmpfiles --create dropledger.conf'
    : `install -d -o ${currentUser()} ${path}`;

/** The absolute path of something in the folder, as bytes. */
export const pathIn = (folder: Folder, path: RelativePath): Buffer =>
  path === '' ? folder.path : Buffer.concat([folder.path, Buffer.from('/'), bytesOf(path)]);

export const identityOf = (stats: BigIntStats): FileIdentity => ({
  ino: stats.ino,
  size: Number(stats.size),
  mtimeNs: stats.mtimeNs,
  ctimeNs: stats.ctimeNs,
});

/** The same file with the same bytes, as far as `stat` can tell; `moved`: a rename in between changed its ctime. */
export function sameFile(one: FileIdentity, other: FileIdentity, { moved = false } = {}): boolean {
  return (
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtimeNs === other.mtimeNs &&
    (moved || one.ctimeNs === other.ctimeNs)
  );
}

/** The identity of what is at the path now; undefined where nothing is, or no regular file. */
export async function identityAt(folder: Folder, path: RelativePath): Promise<FileIdentity | undefined> {
  const stats = await folder.calls.lstat(pathIn(folder, path));
  return stats?.isFile() ? identityOf(stats) : undefined;
}

/**
 * A folder that was unmounted leaves an empty one in its place, on another device: nothing in it was deleted. One that was
 * made again is on the same device, and one that was mounted again, on a device of another number perhaps, is the same inode.
 */
export async function folderIsThere({ path, dev, ino }: Folder): Promise<boolean> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined);
  return stats?.isDirectory() === true && (stats.dev === dev || stats.ino === ino);
}

/** A descriptor of a folder: renames through it cannot be led astray by a symlink that was swapped in above. */
export interface FolderHandle extends AsyncDisposable {
  readonly fd: number;
  readonly calls: FileCalls;
  /** The path of `name` in it, for a system call of this process. */
  entry(name: RelativePath): Buffer;
  /** Makes renames in and out of it durable. */
  sync(): Promise<void>;
}

/** The way to a folder led through a symlink: somebody swapped it in. */
export class LedAstray extends Error {}

/**
 * Opens the folder at `path` inside `folder` and proves that it is there and nowhere else.
 * @throws LedAstray where a symlink leads elsewhere; the system's error where it cannot be opened.
 */
export async function openInside(folder: Folder, path: RelativePath): Promise<FolderHandle> {
  const { calls } = folder;
  const expected = pathIn(folder, path);
  const fd = await calls.open(expected, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await proveLocation(calls, fd, expected);
  } catch (error) {
    await calls.close(fd);
    throw error;
  }
  const here = `/proc/self/fd/${fd}/`;
  return {
    fd,
    calls,
    entry: (name) => Buffer.from(here + name, 'latin1'),
    sync: () => syncToDisk(fd),
    async [Symbol.asyncDispose]() {
      await calls.close(fd);
    },
  };
}

const syncToDisk = promisify(fsync);

/** As `openInside`, making the folder and those above it where they are missing. */
export async function makeInside(folder: Folder, path: RelativePath): Promise<FolderHandle> {
  try {
    return await openInside(folder, path);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  await mkdir(pathIn(folder, path), { recursive: true });
  return openInside(folder, path);
}

/** O_NOFOLLOW guards the last component alone, so the kernel is asked where the descriptor really is. */
export async function proveLocation(calls: FileCalls, fd: number, expected: Buffer): Promise<void> {
  const actual = await calls.readlink(`/proc/self/fd/${fd}`);
  if (!actual.equals(expected)) throw new LedAstray('a symlink on the way leads elsewhere');
}

/** File systems where another host's writes send no events here (statfs types, linux/magic.h). */
const networkFileSystems = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x00c36400, 'CephFS'],
  [0x47504653, 'GPFS'],
  [0x0bd00bd0, 'Lustre'],
]);

/** The name of the network file system the folder is on; undefined on a local one. */
export async function networkFileSystemOf(folder: Pick<Folder, 'path'>): Promise<string | undefined> {
  return networkFileSystems.get((await statfs(folder.path)).type >>> 0);
}

const goneCodes = new Set(['ENOENT', 'ENOTDIR']);
const permissionCodes = new Set(['EACCES', 'EPERM']);

const hasCode = (codes: ReadonlySet<string>, error: unknown): boolean => codes.has(codeOf(error) ?? '');

export const isGone = (error: unknown): boolean => hasCode(goneCodes, error);
export const isForbidden = (error: unknown): boolean => hasCode(permissionCodes, error);
