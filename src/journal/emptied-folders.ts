import type { DatabaseSync } from 'node:sqlite';
import type { RelativePath } from '../model.ts';
import { bytesOf, pathFromBytes } from '../service/path-bytes.ts';
import type { Commit } from './group-commit.ts';

export type EmptiedFoldersJournal = ReturnType<typeof createEmptiedFoldersJournal>;

/** Folders that uploads took files out of, so that only those are ever removed, and not before their time. */
export function createEmptiedFoldersJournal(database: DatabaseSync, commit: Commit) {
  const note = database.prepare('INSERT OR REPLACE INTO emptied_folders (path, since) VALUES (?, ?)');
  const due = database.prepare('SELECT path FROM emptied_folders WHERE since <= ? ORDER BY length(path) DESC');
  const remove = database.prepare('DELETE FROM emptied_folders WHERE path = ?');

  return {
    note(folders: Iterable<RelativePath>, at: Date): Promise<void> {
      return commit(() => {
        for (const folder of folders) if (folder !== '') note.run(bytesOf(folder), at.getTime());
      });
    },
    /** Those that no upload has touched since `before`, the deepest first. */
    due(before: Date): RelativePath[] {
      return due.all(before.getTime()).map((row) => pathFromBytes(row['path'] as Uint8Array));
    },
    forget(folders: readonly RelativePath[]): Promise<void> {
      return commit(() => {
        for (const folder of folders) remove.run(bytesOf(folder));
      });
    },
  };
}
