import type { DatabaseSync } from 'node:sqlite';

/** Runs `work` inside a transaction and resolves with its result once that is on disk; rejects if it was undone. */
export type Commit = <T>(work: () => T) => Promise<T>;

/** After a commit the next one waits for so many times what writing it to disk took (within bounds), to gather more. */
const restPerCommit = 2;
const leastRestMs = 1;
const mostRestMs = 20;
/** What is gathered is done in slices of this length: the event loop has other work. */
const sliceMs = 15;

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
  const waiting: Waiting[] = [];
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

  /** As many as fit into the slice, and one at least. */
  const flush = () => {
    const endsAtMs = performance.now() + sliceMs;
    let count = 0;
    const doSome = () => {
      const results: unknown[] = [];
      for (const { work } of waiting) {
        count += 1;
        results.push(work());
        if (performance.now() > endsAtMs) break;
      }
      return results;
    };
    try {
      const outcome = inTransaction(doSome);
      const group = waiting.splice(0, count);
      if ('result' in outcome) for (const [index, { resolve }] of group.entries()) resolve(outcome.result[index]);
      else if (group.length === 1) group[0]?.reject(outcome.failed);
      else oneByOne(group);
    } catch (error) {
      for (const { reject } of waiting.splice(0)) reject(error);
    }
    if (waiting.length > 0) schedule();
  };

  const schedule = () => {
    const restMs = restsUntilMs - performance.now();
    if (restMs <= 0) setImmediate(flush);
    else setTimeout(flush, restMs);
  };

  return <T>(work: () => T) =>
    new Promise<T>((resolve, reject) => {
      if (waiting.push({ work, resolve: (value) => resolve(value as T), reject }) === 1) schedule();
    });
}

/** So many small statements take a few milliseconds. */
const itemsInAPiece = 64;

/**
 * The same work for many items, in pieces that fit into slices: each is done whole, or not at all. Resolves with the sum
 * of what the works returned, or rejects, once none is under way, with the first failure.
 */
export async function commitInPieces<Item>(commit: Commit, items: readonly Item[], work: (item: Item) => number) {
  const pieces: Promise<number>[] = [];
  for (let at = 0; at < items.length; at += itemsInAPiece) {
    const piece = items.slice(at, at + itemsInAPiece);
    pieces.push(commit(() => piece.reduce((sum, item) => sum + work(item), 0)));
  }
  await Promise.allSettled(pieces);
  return (await Promise.all(pieces)).reduce((sum, some) => sum + some, 0);
}
