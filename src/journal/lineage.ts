import { randomUUID } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';

/** `copy`: of an earlier time; `replacement`: it begins where another was; `first`: nothing tells of another. */
export type Lineage = 'continued' | 'copy' | 'replacement' | 'first';

/**
 * Tells a journal that was restored from an earlier copy, and a new one that begins where another was. Each start draws a
 * token and notes it twice: in the journal, with the file that the journal then was, and in a file beside it. A copy put
 * in its place has an older token, or is another file; a new one has none. (Where a whole machine went back in time, both
 * are as they were: that cannot be told from here.)
 *
 * `follow` is what follows from it in the journal: noted together with the start that found it out, or it would be found
 * out no more. Throws where that cannot be done.
 */
export function takeUpLineage(database: DatabaseSync, path: string, follow: (lineage: Lineage) => void): Lineage {
  database.exec('CREATE TABLE IF NOT EXISTS lineage (token TEXT NOT NULL, file TEXT NOT NULL) STRICT');
  const last = database.prepare('SELECT token, file FROM lineage').get();
  const tokens = readTokens(witnessOf(path));
  const file = fileOf(path);
  const lineage = lineageOf(last, tokens, file);
  try {
    noteStart(database, path, { lineage, tokens, last: last?.['token'], file }, () => follow(lineage));
  } catch (error) {
    if (lineage !== 'continued') throw error;
    // A full disk: what was noted before still holds.
  }
  return lineage;
}

function lineageOf(last: Record<string, unknown> | undefined, tokens: readonly string[], file: string): Lineage {
  if (last === undefined) return tokens.length > 0 ? 'replacement' : 'first';
  const isOlder = tokens.length > 0 && !tokens.includes(String(last['token']));
  return isOlder || last['file'] !== file ? 'copy' : 'continued';
}

/** The file beside a journal that tells its last start. */
export const witnessOf = (journalPath: string): string => `${journalPath}-start`;

interface Start {
  readonly lineage: Lineage;
  readonly tokens: readonly string[];
  readonly last: unknown;
  readonly file: string;
}

/** A start that is cut short between the notes leaves both tokens in the file, so that the next one finds out the same. */
function noteStart(database: DatabaseSync, path: string, start: Start, follow: () => void): void {
  const { lineage, tokens, last, file } = start;
  const token = randomUUID();
  const write = (all: readonly unknown[]) =>
    writeFileSync(witnessOf(path), `${all.join('\n')}\n`, { mode: 0o600, flush: true });
  if (lineage !== 'first') write([token, ...(lineage === 'continued' ? [last] : tokens)]);
  database.exec('BEGIN IMMEDIATE');
  try {
    database.exec('DELETE FROM lineage');
    database.prepare('INSERT INTO lineage (token, file) VALUES (?, ?)').run(token, file);
    follow();
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
