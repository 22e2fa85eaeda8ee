import type { DatabaseSync } from 'node:sqlite';

/** Runs `work` inside a transaction and resolves with its result once that is on disk; rejects if it was undone. */
export type Commit = <T>(work: () => T) => Promise<T>;

/**
 * Gathers what is asked for in one turn of the event loop into one transaction, so that many files share one fsync.
 * `work` touches the database alone: where another of the same group fails, it is run again by itself.
 */
export function createGroupCommit(database: DatabaseSync): Commit {
  interface Waiting {
    readonly work: () => unknown;
    resolve(value: unknown): void;
    reject(error: unknown): void;
  }
  let waiting: Waiting[] = [];

  const inTransaction = <T>(work: () => T): T => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };

  const oneByOne = (group: readonly Waiting[]) => {
    for (const { work, resolve, reject } of group) {
      try {
        resolve(inTransaction(work));
      } catch (error) {
        reject(error);
      }
    }
  };

  const flush = () => {
    const group = waiting;
    waiting = [];
    try {
      const results = inTransaction(() => group.map(({ work }) => work()));
      for (const [index, { resolve }] of group.entries()) resolve(results[index]);
    } catch (error) {
      if (group.length === 1) group[0]?.reject(error);
      else oneByOne(group);
    }
  };

  return <T>(work: () => T) =>
    new Promise<T>((resolve, reject) => {
      if (waiting.push({ work, resolve: (value) => resolve(value as T), reject }) === 1) setImmediate(flush);
    });
}
