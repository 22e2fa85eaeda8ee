import { stat } from 'node:fs/promises';
import { type FSWatcher, watch } from 'chokidar';
import type { RelativePath } from '../model.ts';
import { messageOf } from '../service/errors.ts';
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
  let watched = folder.ino;

  const start = () => {
    watcher = watch(root, {
      ignoreInitial: true, // the scan at start has it, with names as bytes
      followSymlinks: false,
      atomic: false, // would hide *~ and editors' temporary files by a rule of its own
      ignorePermissionErrors: true,
      ignored: (path) => path.length > root.length && ignore(relative(path)) !== undefined,
    });
    watcher.on('add', (path) => onHint(relative(path)));
    watcher.on('change', (path) => onHint(relative(path)));
    watcher.on('ready', onReady);
    watcher.on('error', (error) => onGap(explain(error)));
  };
  start();

  return {
    /** The root may have been renamed away and made again: the watch would stay with the old one. */
    async checkRoot(): Promise<void> {
      const ino = await stat(folder.path, { bigint: true }).then(
        (stats) => stats.ino,
        () => undefined,
      );
      if (ino === undefined || ino === watched) return;
      watched = ino;
      await watcher.close();
      start();
      onGap('the drop folder was replaced by another of the same name');
    },

    [Symbol.asyncDispose]: () => watcher.close(),
  };
}

export type FolderWatch = ReturnType<typeof watchFolder>;

function explain(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'ENOSPC') {
    return 'no inotify watches are left, so new files are found by rescans alone: raise fs.inotify.max_user_watches';
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return 'no inotify instances or descriptors are left, so new files are found by rescans alone: raise fs.inotify.max_user_instances';
  }
  return messageOf(error);
}
