import type { DatabaseSync } from 'node:sqlite';
import type { Commit } from './group-commit.ts';

/**
 * Uploads that were never answered, and whose bytes are not there any more to ask with: under each of these keys an object
 * with these bytes may be, or may not. Without this memory it would be taken for the next file of that key, whose own
 * answer is lost as well.
 */
const schema = `
  CREATE TABLE IF NOT EXISTS abandoned_uploads (
    key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    abandoned_at INTEGER NOT NULL,
    PRIMARY KEY (key, sha256)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER IF NOT EXISTS upload_abandoned AFTER DELETE ON files
  WHEN old.unanswered_sha256 IS NOT NULL AND old.key IS NOT NULL BEGIN
    INSERT OR IGNORE INTO abandoned_uploads VALUES (old.key, old.unanswered_sha256, unixepoch() * 1000);
  END;
`;
const gapsSchema = 'CREATE TABLE IF NOT EXISTS memory_gaps (noticed_at INTEGER NOT NULL) STRICT';

/** An earlier journal knew what this one does not: under any key an object of ours may lie. */
export function noteMemoryGap(database: DatabaseSync, at: Date): void {
  database.exec(gapsSchema);
  database.prepare('INSERT INTO memory_gaps VALUES (?)').run(at.getTime());
}

export type AbandonedUploadsJournal = ReturnType<typeof createAbandonedUploadsJournal>;

export function createAbandonedUploadsJournal(database: DatabaseSync, commit: Commit) {
  database.exec(schema);
  database.exec(gapsSchema);
  const add = database.prepare(`
    INSERT OR IGNORE INTO abandoned_uploads SELECT key, unanswered_sha256, ? FROM files
    WHERE file_id = ? AND unanswered_sha256 IS NOT NULL AND key IS NOT NULL`);
  const answered = database.prepare('UPDATE files SET unanswered_sha256 = NULL WHERE file_id = ?');
  const under = database.prepare('SELECT sha256 FROM abandoned_uploads WHERE key = ?');
  const forget = database.prepare('DELETE FROM abandoned_uploads WHERE abandoned_at < ?');
  const anyGap = database.prepare('SELECT 1 FROM memory_gaps LIMIT 1');
  const forgetGaps = database.prepare('DELETE FROM memory_gaps WHERE noticed_at < ?');

  return {
    /** The file has other bytes than those that were sent and never answered. (One that is forgotten is noted by itself.) */
    note(fileId: string, at: Date): Promise<void> {
      return commit(() => {
        add.run(at.getTime(), fileId);
        answered.run(fileId);
      });
    },

    /** The sha256 of each content that may lie under the key. */
    under: (key: string): string[] => under.all(key).map((row) => String(row['sha256'])),

    /** Whether an earlier journal knew what this one does not. */
    hasGap: (): boolean => anyGap.get() !== undefined,

    prune(before: Date): Promise<void> {
      return commit(() => {
        forget.run(before.getTime());
        forgetGaps.run(before.getTime());
      });
    },
  };
}
