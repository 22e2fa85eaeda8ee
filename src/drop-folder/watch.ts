import { lstatSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type FSWatcher, watch } from 'chokidar';
import type { RelativePath } from '../model.ts';
import { codeOf, messageOf } from '../service/errors.ts';
import { pathFromText } from '../service/path-bytes.ts';
import type { Folder } from './folder.ts';
import type { IgnoreRule } from './ignore.ts';

export interface WatchOptions {
  readonly folder: Folder;
  readonly ignore: IgnoreRule;
  /** Something may have happened to this file. It is a hint: it may be wrong, late or missing. */
  onHint(path: RelativePath): void;
  /** From now on events come. */
  onReady(): void;
  /** Hints may have been missed: the folder should be compared soon. */
  onGap(reason: string): void;
}

/**
 * Hints about the drop folder from inotify. What this does not know: whether a file is complete, new, or known; and
 * names that are not UTF-8, and events lost in an overflow, never reach it (Node reports neither). The rescan does.
 */
export function watchFolder({ folder, ignore, onHint, onReady, onGap }: WatchOptions) {
  const root = folder.path.toString();
  const relative = (path: string): RelativePath => pathFromText(path.slice(root.length + 1));
  let watcher: FSWatcher;
  let watched = `${folder.dev} ${folder.ino}`;
  /** Subfolders that are watched. */
  let folders: Set<string>;
  let ready: boolean;

  /**
   * Chokidar watches the folders, and is told to ignore every file: it asks about each that an event names or a new
   * folder holds, and to be asked is the hint. It would remember them all (1.5 KB a file), and look at each twice more.
   */
  const isIgnored = (path: string, stats?: Stats): boolean => {
    if (path.length <= root.length) return false;
    if (stats === undefined && folders.has(path)) return false;
    const name = relative(path);
    if (ignore(name) !== undefined) return true;
    const found = stats ?? lookAt(path);
    if (found?.isDirectory()) {
      folders.add(path);
      return false;
    }
    folders.delete(path);
    if (ready && found?.isFile()) onHint(name); // what was there before, the scan has, with names as bytes
    return true;
  };

  const start = () => {
    folders = new Set();
    ready = false;
    watcher = watch(root, {
      ignoreInitial: true,
      followSymlinks: false,
      atomic: false, // would hide *~ and editors' temporary files by a rule of its own
      ignorePermissionErrors: true,
      ignored: isIgnored,
    });
    watcher.on('unlinkDir', (path) => folders.delete(path));
    watcher.on('ready', () => {
      ready = true;
      onReady();
    });
    watcher.on('error', (error) => onGap(explain(error)));
  };
  start();

  return {
    /** The root may have been renamed away and made again, or mounted again: the watch would stay with the old one. */
    async checkRoot(): Promise<void> {
      const now = await stat(folder.path, { bigint: true }).then(
        ({ dev, ino }) => `${dev} ${ino}`,
        () => undefined,
      );
      if (now === undefined || now === watched) return;
      watched = now;
      await watcher.close();
      start();
      onGap('the drop folder was replaced by another of the same name');
    },

    [Symbol.asyncDispose]: () => watcher.close(),
  };
}

export type FolderWatch = ReturnType<typeof watchFolder>;

/** Undefined where nothing is, or nothing may be looked at. */
function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
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
