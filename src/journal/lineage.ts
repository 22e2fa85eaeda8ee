import { randomUUID } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';

/**
 * Tells a journal that was restored from an earlier copy, and a new one that begins where another was. Each start draws a
 * token and notes it twice: in the journal, with the file that the journal then was, and in a file beside it. A copy put
 * in its place has an older token, or is another file; a new one has none. (Where a whole machine went back in time, both
 * are as they were: that cannot be told from here.)
 */
export function takeUpLineage(
  database: DatabaseSync,
  { path, isNew }: { path: string; isNew: boolean },
): 'continued' | 'copy' | 'replacement' {
  database.exec('CREATE TABLE IF NOT EXISTS lineage (token TEXT NOT NULL, file TEXT NOT NULL) STRICT');
  const last = database.prepare('SELECT token, file FROM lineage').get();
  const tokens = readTokens(witnessOf(path));
  const file = fileOf(path);
  try {
    noteStart(database, path, { last: last?.['token'], file });
  } catch {
    // a full disk: what was noted before still holds
  }
  if (last === undefined) return isNew && tokens.length > 0 ? 'replacement' : 'continued';
  const isOlder = tokens.length > 0 && !tokens.includes(String(last['token']));
  return isOlder || last['file'] !== file ? 'copy' : 'continued';
}

/** The file beside a journal that tells its last start. */
export const witnessOf = (journalPath: string): string => `${journalPath}-start`;

/** A start that is cut short between the notes leaves both tokens in the file: either is right then. */
function noteStart(database: DatabaseSync, path: string, { last, file }: { last: unknown; file: string }): void {
  const token = randomUUID();
  const write = (tokens: readonly unknown[]) =>
    writeFileSync(witnessOf(path), `${tokens.join('\n')}\n`, { mode: 0o600, flush: true });
  write(last === undefined ? [token] : [token, last]);
  database.exec('BEGIN IMMEDIATE');
  try {
    database.exec('DELETE FROM lineage');
    database.prepare('INSERT INTO lineage (token, file) VALUES (?, ?)').run(token, file);
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
  write([token]);
}

function readTokens(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

/** Inodes are given out again; the time of birth (0 where the file system keeps none) is not. */
function fileOf(path: string): string {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${birthtimeNs}`;
}
