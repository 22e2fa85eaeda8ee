import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { FileIdentity, OpenFile, RelativePath, SettledFile } from '../model.ts';
import { codeOf } from '../service/errors.ts';
import {
  type Folder,
  identityAt,
  identityOf,
  isForbidden,
  isGone,
  LedAstray,
  pathIn,
  proveLocation,
  sameFile,
} from './folder.ts';

/** What opening a settled file came to. */
export type OpenOutcome =
  | { readonly kind: 'open'; readonly file: OpenFile }
  /** Nothing is there any longer, or no regular file. */
  | { readonly kind: 'vanished' }
  /** Another file, or other bytes, than the one that settled. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** Opens settled files for reading: one descriptor, proved to be the file that settled, inside the drop folder. */
export function createFileOpener(folder: Folder, ownerOf: (uid: number) => Promise<string>) {
  return async ({ path, identity }: SettledFile): Promise<OpenOutcome> => {
    const { calls } = folder;
    const full = pathIn(folder, path);
    let fd: number | undefined;
    try {
      // Looked at first: opening a FIFO, even with O_NONBLOCK, would be noticed by whoever holds its other end.
      const before = await calls.lstat(full);
      if (!before?.isFile()) return { kind: 'vanished' };
      fd = await calls.open(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      await proveLocation(calls, fd, full);
      const stats = await calls.fstat(fd);
      if (!stats.isFile() || !sameFile(identityOf(stats), identity)) {
        await calls.close(fd);
        return { kind: 'changed' };
      }
      const owner = await ownerOf(Number(stats.uid));
      return { kind: 'open', file: openFile(folder, fd, { path, identity, owner }) };
    } catch (error) {
      if (fd !== undefined) await calls.close(fd);
      if (isGone(error) || isSymlink(error) || error instanceof LedAstray) return { kind: 'vanished' };
      if (isForbidden(error)) return { kind: 'unreadable', reason: (error as Error).message };
      throw error;
    }
  };
}

function openFile(
  folder: Folder,
  fd: number,
  { path, identity, owner }: { path: RelativePath; identity: FileIdentity; owner: string },
): OpenFile {
  const { calls } = folder;
  return {
    path,
    identity,
    owner,
    async unchanged() {
      const stats = await calls.fstat(fd);
      if (!sameFile(identityOf(stats), identity)) return false;
      const now = await identityAt(folder, path);
      return now !== undefined && sameFile(now, identity);
    },
    read: (buffer, position) => calls.read(fd, buffer, position),
    close: () => calls.close(fd),
  };
}

/** O_NOFOLLOW on a symlink. */
const isSymlink = (error: unknown): boolean => codeOf(error) === 'ELOOP';

/** Looks up user names in /etc/passwd, and again where a user is new; the number where it has no name. */
export function createOwnerLookup(passwdFile = '/etc/passwd') {
  let names: Promise<Map<number, string>> | undefined;
  const read = async () => {
    const lines = (await readFile(passwdFile, 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
    return new Map(lines.map(([name = '', , uid]) => [Number(uid), name]));
  };
  const nameless = new Set<number>();
  return async (uid: number): Promise<string> => {
    names ??= read();
    const name = (await names).get(uid);
    if (name !== undefined || nameless.has(uid)) return name ?? String(uid);
    nameless.add(uid);
    names = read();
    return (await names).get(uid) ?? String(uid);
  };
}
