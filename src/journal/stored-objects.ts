import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { RelativePath } from '../model.ts';
import { bytesOf } from '../service/path-bytes.ts';
import type { Commit } from './group-commit.ts';

/** What was stored under a path: enough to know the same content when it is dropped again. */
export interface StoredContent {
  readonly path: RelativePath;
  /** Bytes. */
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
  readonly key: string;
  readonly ledgerId: string;
}

export type StoredObjectsJournal = ReturnType<typeof createStoredObjectsJournal>;

export function createStoredObjectsJournal(database: DatabaseSync, commit: Commit) {
  const insert = database.prepare(
    'INSERT INTO stored_objects (path, size, sha256, key, ledger_id, stored_at) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const knowsSize = database.prepare('SELECT 1 FROM stored_objects WHERE path = ? AND size = ? LIMIT 1');
  const anyOf = database.prepare(
    'SELECT * FROM stored_objects WHERE path = ? AND size = ? AND sha256 = ? ORDER BY rowid DESC LIMIT 1',
  );
  const latestOf = database.prepare('SELECT * FROM stored_objects WHERE path = ? ORDER BY rowid DESC LIMIT 1');
  const byKey = database.prepare('SELECT 1 FROM stored_objects WHERE key = ? LIMIT 1');
  const prune = database.prepare(`
    DELETE FROM stored_objects WHERE stored_at < ?
      AND NOT EXISTS (SELECT 1 FROM files WHERE files.path = stored_objects.path)`);

  const content = (path: RelativePath, row: Record<string, SQLOutputValue>): StoredContent => ({
    path,
    size: Number(row['size']),
    sha256: Buffer.from(row['sha256'] as Uint8Array).toString('hex'),
    key: String(row['key']),
    ledgerId: String(row['ledger_id']),
  });

  return {
    /** To be called inside a commit. */
    add({ path, size, sha256, key, ledgerId }: StoredContent, storedAt: Date): void {
      insert.run(bytesOf(path), size, Buffer.from(sha256, 'hex'), key, ledgerId, storedAt.getTime());
    },

    /** Whether a file of this path and size was stored before: then it is hashed before it is sent. */
    knowsSize(path: RelativePath, size: number): boolean {
      return knowsSize.get(bytesOf(path), size) !== undefined;
    },

    /** The object that already holds this content for this path: any (`any`), or the latest only (`latest`). */
    duplicateOf(path: RelativePath, size: number, sha256: string, among: 'any' | 'latest'): StoredContent | undefined {
      const bytes = bytesOf(path);
      const row = among === 'any' ? anyOf.get(bytes, size, Buffer.from(sha256, 'hex')) : latestOf.get(bytes);
      if (row === undefined) return undefined;
      const found = content(path, row);
      return found.size === size && found.sha256 === sha256 ? found : undefined;
    },

    /** Whether this daemon stored something under the key. */
    knowsKey(key: string): boolean {
      return byKey.get(key) !== undefined;
    },

    /** Forgets what was stored before `before`, unless a file of that path is still in the folder. */
    prune(before: Date): Promise<number> {
      return commit(() => Number(prune.run(before.getTime()).changes));
    },
  };
}
