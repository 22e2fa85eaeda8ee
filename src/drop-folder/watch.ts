import { type FSWatcher, watch } from 'node:fs';
import type { RelativePath } from '../model.ts';
import { codeOf, messageOf } from '../service/errors.ts';
import { joinPath, pathFromBytes } from '../service/path-bytes.ts';
import { type Folder, isGone, pathIn } from './folder.ts';
import type { IgnoreName } from './ignore.ts';

export interface WatchOptions {
  readonly folder: Folder;
  readonly ignore: IgnoreName;
  /** Something may have happened to this file. It is a hint: it may be wrong, late or missing. */
  onHint(path: RelativePath): void;
  /** A folder came, or came back: it is to be walked, and each folder in it watched before it is read. */
  onFolder(path: RelativePath): void;
  /** A folder cannot be watched: what comes there is found by rescans alone. */
  onUnwatched(reason: string): void;
}

export type FolderWatch = AsyncDisposable & {
  /** Watches this one folder from now on, if it is not watched already. */
  cover(path: RelativePath): Promise<void>;
  /** Forgets the folders that were not covered since it was called last: a whole walk did not come upon them. */
  forgetUncovered(): void;
};

interface Watched {
  readonly ino: bigint;
  readonly watcher: FSWatcher;
  covered: boolean;
}

/**
 * Hints about the drop folder from inotify, one watch a folder. What this does not know: whether a file is complete,
 * new, or known; and of events lost in an overflow it never learns (libuv keeps that to itself). The rescan does.
 */
export function watchFolder({ folder, ignore, onHint, onFolder, onUnwatched }: WatchOptions): FolderWatch {
  const { calls } = folder;
  const watches = new Map<RelativePath, Watched>();
  let closed = false;

  const forget = (path: RelativePath): void => {
    watches.get(path)?.watcher.close();
    watches.delete(path);
  };

  /** With what is below it: it was moved away, or removed. */
  const forgetTree = (path: RelativePath): void => {
    if (!watches.has(path)) return;
    const below = path === '' ? '' : `${path}/`;
    for (const other of [...watches.keys()]) {
      if (other === path || other.startsWith(below)) forget(other);
    }
  };

  const start = (path: RelativePath, ino: bigint): void => {
    try {
      const watcher = watch(pathIn(folder, path), { encoding: 'buffer' }, (kind, name) => {
        if (name !== null) heard(joinPath(path, pathFromBytes(name)), kind).catch(tellUnwatched);
      });
      watcher.on('error', tellUnwatched);
      watches.set(path, { ino, watcher, covered: true });
    } catch (error) {
      if (!isGone(error)) tellUnwatched(error);
    }
  };

  const tellUnwatched = (error: unknown): void => {
    if (!closed) onUnwatched(explain(error));
  };

  /** `rename`: a name came or went. `change`: bytes or attributes of what it names. */
  const heard = async (path: RelativePath, kind: 'rename' | 'change'): Promise<void> => {
    if (closed || ignore(path.slice(path.lastIndexOf('/') + 1) as RelativePath) !== undefined) return;
    if (kind === 'change') return onHint(path);
    const stats = await calls.lstat(pathIn(folder, path));
    if (closed) return;
    if (stats?.isDirectory()) onFolder(path);
    else if (stats?.isFile()) onHint(path);
    if (!stats?.isDirectory()) forgetTree(path);
  };

  return {
    async cover(path) {
      const stats = await calls.lstat(pathIn(folder, path));
      const known = watches.get(path);
      if (closed || stats === undefined) return;
      if (known?.ino === stats.ino) {
        known.covered = true;
      } else {
        forgetTree(path); // another folder by that name: the watch stayed with the old one
        start(path, stats.ino);
      }
    },

    forgetUncovered() {
      for (const [path, watched] of watches) {
        if (!watched.covered) forget(path);
        watched.covered = false;
      }
    },

    async [Symbol.asyncDispose]() {
      closed = true;
      for (const path of [...watches.keys()]) forget(path);
    },
  };
}

function explain(error: unknown): string {
  const code = codeOf(error);
  if (code === 'ENOSPC') {
    return 'no inotify watches are left, so new files are found by rescans alone: raise fs.inotify.max_user_watches';
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return 'no inotify instances or descriptors are left, so new files are found by rescans alone: raise fs.inotify.max_user_instances';
  }
  return messageOf(error);
}
