import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep, setImmediate as turnOfLoop } from 'node:timers/promises';

/** Runs `work` inside a transaction and resolves with its result once that is on disk; rejects if it was undone. */
export type Commit = <T>(work: () => T) => Promise<T>;

export interface GroupCommit {
  readonly commit: Commit;
  /** Resolves once all that can be read now is on disk; rejects where nobody knows. */
  onDisk(): Promise<void>;
  /** Rejects once the disk failed to take what was committed: every commit is refused from then on. */
  readonly failed: Promise<never>;
}

/** After a group is on disk the next one waits this long, to gather more. */
const restMs = 1;
/** What is gathered is done in slices of this length: the event loop has other work. */
const sliceMs = 4;

/**
 * Gathers what is asked for while the disk takes the last group, so that many files share one transaction and one sync.
 * SQLite only writes the transaction; `sync` has it on disk, and the event loop goes on meanwhile. Groups reach the disk
 * in their order, so that one which is there has all before it there.
 * `work` touches the database alone: where another of the same group fails, it is run again by itself.
 */
export function createGroupCommit(database: DatabaseSync, sync: () => Promise<void>): GroupCommit {
  interface Waiting {
    readonly work: () => unknown;
    resolve(value: unknown): void;
    reject(error: unknown): void;
  }
  interface Done {
    readonly by: Waiting;
    readonly result: unknown;
  }
  const waiting: Waiting[] = [];
  let running = false;
  /** Under way, or the one that failed. */
  let syncing: Promise<void> | undefined;
  let broken = false;
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined); // whoever waits for a commit is told anyway

  const refuse = (group: readonly Waiting[], error: unknown): [] => {
    for (const { reject } of group) reject(error);
    return [];
  };

  /** `failed`: `work` itself threw, not the transaction around it (a full disk, say), which would fail again. */
  const inTransaction = <T>(work: () => T): { result: T } | { failed: unknown } => {
    database.exec('BEGIN IMMEDIATE');
    let working = true;
    try {
      const result = work();
      working = false;
      database.exec('COMMIT');
      return { result };
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      if (working) return { failed: error };
      throw error;
    }
  };

  const commitAlone = (one: Waiting): Done[] => {
    try {
      const outcome = inTransaction(one.work);
      return 'failed' in outcome ? refuse([one], outcome.failed) : [{ by: one, result: outcome.result }];
    } catch (error) {
      return refuse([one], error);
    }
  };

  /** As many as fit into the slice, and one at least. */
  const commitSome = (): Done[] => {
    const endsAtMs = performance.now() + sliceMs;
    let count = 0;
    const doSome = () => {
      const done: Done[] = [];
      for (const one of waiting) {
        count += 1;
        done.push({ by: one, result: one.work() });
        if (performance.now() > endsAtMs) break;
      }
      return done;
    };
    try {
      const outcome = inTransaction(doSome);
      const group = waiting.splice(0, count);
      if ('result' in outcome) return outcome.result;
      return group.length === 1 ? refuse(group, outcome.failed) : group.flatMap(commitAlone);
    } catch (error) {
      return refuse(waiting.splice(0), error);
    }
  };

  /** After a sync that failed nobody knows what is on disk: a second one may succeed, and tell nothing of the first. */
  const breakOff = (done: readonly Done[], error: unknown): void => {
    broken = true;
    failure.reject(error);
    refuse([...done.map(({ by }) => by), ...waiting.splice(0)], error);
  };

  const run = async (): Promise<void> => {
    await turnOfLoop();
    while (waiting.length > 0) {
      const done = commitSome();
      if (done.length === 0) continue;
      syncing = sync();
      try {
        await syncing;
        for (const { by, result } of done) by.resolve(result);
        syncing = undefined;
      } catch (error) {
        breakOff(done, error);
      }
      await sleep(restMs);
    }
    running = false;
  };

  return {
    commit<T>(work: () => T): Promise<T> {
      if (broken) return failure.promise;
      return new Promise<T>((resolve, reject) => {
        waiting.push({ work, resolve: (value) => resolve(value as T), reject });
        if (!running) void run();
        running = true;
      });
    },
    onDisk: () => syncing ?? Promise.resolve(),
    failed: failure.promise,
  };
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
