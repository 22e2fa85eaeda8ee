import type { DatabaseSync } from 'node:sqlite';

/** Runs `work` inside a transaction and resolves with its result once that is on disk; rejects if it was undone. */
export type Commit = <T>(work: () => T) => Promise<T>;

/** After a commit the next one waits for so many times what writing it to disk took (within bounds), to gather more. */
const restPerCommit = 2;
const leastRestMs = 1;
const mostRestMs = 20;

/**
 * Gathers what is asked for in one turn of the event loop into one transaction, so that many files share one fsync;
 * while much is asked for, in the turns of some milliseconds, so that a slow disk takes a third of the time at most.
 * `work` touches the database alone: where another of the same group fails, it is run again by itself.
 */
export function createGroupCommit(database: DatabaseSync): Commit {
  interface Waiting {
    readonly work: () => unknown;
    resolve(value: unknown): void;
    reject(error: unknown): void;
  }
  let waiting: Waiting[] = [];
  let restsUntilMs = 0;

  /** `failed`: `work` itself threw, not the transaction around it (a full disk, say), which would fail again. */
  const inTransaction = <T>(work: () => T): { result: T } | { failed: unknown } => {
    database.exec('BEGIN IMMEDIATE');
    let working = true;
    try {
      const result = work();
      working = false;
      const beganMs = performance.now();
      database.exec('COMMIT');
      const endedMs = performance.now();
      restsUntilMs = endedMs + Math.min(Math.max((endedMs - beganMs) * restPerCommit, leastRestMs), mostRestMs);
      return { result };
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      if (working) return { failed: error };
      throw error;
    }
  };

  const oneByOne = (group: readonly Waiting[]) => {
    for (const { work, resolve, reject } of group) {
      try {
        const outcome = inTransaction(work);
        if ('result' in outcome) resolve(outcome.result);
        else reject(outcome.failed);
      } catch (error) {
        reject(error);
      }
    }
  };

  const flush = () => {
    const group = waiting;
    waiting = [];
    try {
      const outcome = inTransaction(() => group.map(({ work }) => work()));
      if ('failed' in outcome) return group.length === 1 ? group[0]?.reject(outcome.failed) : oneByOne(group);
      for (const [index, { resolve }] of group.entries()) resolve(outcome.result[index]);
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  };

  return <T>(work: () => T) =>
    new Promise<T>((resolve, reject) => {
      if (waiting.push({ work, resolve: (value) => resolve(value as T), reject }) > 1) return;
      const restMs = restsUntilMs - performance.now();
      if (restMs <= 0) setImmediate(flush);
      else setTimeout(flush, restMs);
    });
}
