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
  readonly bucket: string;
  readonly key: string;
  readonly ledgerId: string;
}

/** The content of a file on its way to a bucket: what is in another bucket does not count. */
export type SoughtContent = Pick<StoredContent, 'path' | 'size' | 'sha256' | 'bucket'>;

const prunedAtOnce = 5000;

export type StoredObjectsJournal = ReturnType<typeof createStoredObjectsJournal>;

export function createStoredObjectsJournal(database: DatabaseSync, commit: Commit) {
  const insert = database.prepare(
    'INSERT INTO stored_objects (path, size, sha256, bucket, key, ledger_id, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const knowsSize = database.prepare('SELECT 1 FROM stored_objects WHERE path = ? AND size = ? LIMIT 1');
  const anyOf = database.prepare(
    'SELECT * FROM stored_objects WHERE path = ? AND size = ? AND sha256 = ? AND bucket = ? ORDER BY rowid DESC LIMIT 1',
  );
  const latestOf = database.prepare(
    'SELECT * FROM stored_objects WHERE path = ? AND bucket = ? ORDER BY rowid DESC LIMIT 1',
  );
  const byKey = database.prepare('SELECT 1 FROM stored_objects WHERE key = ? AND bucket = ? LIMIT 1');
  const old = database.prepare(`
    SELECT rowid, stored_at, EXISTS (SELECT 1 FROM files WHERE files.path = stored_objects.path) AS present
    FROM stored_objects WHERE (stored_at, rowid) > (?, ?) AND stored_at < ? ORDER BY stored_at, rowid LIMIT ?`);
  const remove = database.prepare('DELETE FROM stored_objects WHERE rowid = ?');

  const content = (path: RelativePath, row: Record<string, SQLOutputValue>): StoredContent => ({
    path,
    size: Number(row['size']),
    sha256: Buffer.from(row['sha256'] as Uint8Array).toString('hex'),
    bucket: String(row['bucket']),
    key: String(row['key']),
    ledgerId: String(row['ledger_id']),
  });

  return {
    /** To be called inside a commit. */
    add({ path, size, sha256, bucket, key, ledgerId }: StoredContent, storedAt: Date): void {
      insert.run(bytesOf(path), size, Buffer.from(sha256, 'hex'), bucket, key, ledgerId, storedAt.getTime());
    },

    /** Whether a file of this path and size was stored before: then it is hashed before it is sent. */
    knowsSize(path: RelativePath, size: number): boolean {
      return knowsSize.get(bytesOf(path), size) !== undefined;
    },

    /** The object that already holds this content for this path: any (`any`), or the latest only (`latest`). */
    duplicateOf({ path, size, sha256, bucket }: SoughtContent, among: 'any' | 'latest'): StoredContent | undefined {
      const bytes = bytesOf(path);
      const row =
        among === 'any' ? anyOf.get(bytes, size, Buffer.from(sha256, 'hex'), bucket) : latestOf.get(bytes, bucket);
      if (row === undefined) return undefined;
      const found = content(path, row);
      return found.size === size && found.sha256 === sha256 ? found : undefined;
    },

    /** Whether this daemon stored something under the key. */
    knowsKey(bucket: string, key: string): boolean {
      return byKey.get(key, bucket) !== undefined;
    },

    /** Forgets what was stored before `before`, unless a file of that path is still in the folder. */
    async prune(before: Date): Promise<number> {
      let removed = 0;
      let at = { storedAt: Number.MIN_SAFE_INTEGER, rowid: 0 };
      for (;;) {
        const rows = old.all(at.storedAt, at.rowid, before.getTime(), prunedAtOnce);
        const forgotten = rows.filter((row) => row['present'] === 0);
        await commit(() => {
          for (const row of forgotten) remove.run(Number(row['rowid']));
        });
        removed += forgotten.length;
        const last = rows.at(-1);
        if (last === undefined || rows.length < prunedAtOnce) return removed;
        at = { storedAt: Number(last['stored_at']), rowid: Number(last['rowid']) };
      }
    },
  };
}
