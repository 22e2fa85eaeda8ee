import type { FileIdentity, RelativePath, SettledFile } from '../model.ts';
import { sameFile } from './folder.ts';

export interface SettleOptions {
  /** How long size, mtime, ctime and inode must rest; 0: a file is complete as soon as it is seen. */
  readonly settleMs: number;
  /** False on network file systems, whose clock may be behind: then every file is observed for `settleMs`. */
  readonly trustTimes: boolean;
  /** What is at the path now; undefined where no regular file is. */
  look(path: RelativePath): Promise<FileIdentity | undefined>;
  /** Files that came to rest, in batches; the next batch waits for it. */
  onSettled(files: readonly SettledFile[]): Promise<void>;
  onError(error: unknown): void;
}

interface Observed {
  readonly detectedAt: Date;
  readonly identity: FileIdentity;
  /** By `performance.now()`: a clock that is set back must not hold files up. */
  readonly dueAtMs: number;
}

/** `lstat` calls in flight; more only fill libuv's four threads' queue. */
const parallelLooks = 16;
/** Offers beyond this many wait, so that the scan of a million files takes no memory for them. */
const mostWaiting = 4096;
const mostInABatch = 512;

/**
 * Tells when files have come to rest. Offering a path is idempotent: one that is new is looked at, and again when it is
 * due; one that is observed already is left until then. All files share one timer, which runs only while some file is
 * observed.
 */
export function createSettler({ settleMs, trustTimes, look, onSettled, onError }: SettleOptions) {
  const observed = new Map<RelativePath, Observed>();
  const toLook = new Map<RelativePath, Date>();
  const tickMs = Math.min(Math.max(settleMs / 8, 20), 500);
  let looking = 0;
  let settled: SettledFile[] = [];
  let handingOver: Promise<void> | undefined;
  let roomWaiters: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const lookNext = (): void => {
    while (looking < parallelLooks && settled.length < mostInABatch && !closed) {
      const next = toLook.entries().next().value;
      if (next === undefined) break;
      toLook.delete(next[0]);
      looking += 1;
      look(next[0])
        .then((identity) => judge(next[0], next[1], identity), onError)
        .finally(() => {
          looking -= 1;
          lookNext();
        });
    }
    if (toLook.size < mostWaiting && roomWaiters.length > 0) {
      for (const resume of roomWaiters.splice(0)) resume();
    }
  };

  const judge = (path: RelativePath, seenAt: Date, identity: FileIdentity | undefined): void => {
    if (closed) return;
    const before = observed.get(path);
    observed.delete(path);
    if (identity === undefined) return;
    const detectedAt = before?.detectedAt ?? seenAt;
    const changed = before !== undefined && !sameFile(before.identity, identity);
    const restedMs = changed || !trustTimes ? 0 : restMs(identity, seenAt.getTime());
    const nowMs = performance.now();
    const dueAtMs = before !== undefined && !changed ? before.dueAtMs : nowMs + settleMs - restedMs;
    if (settleMs === 0 || dueAtMs <= nowMs) {
      settled.push({ path, identity, detectedAt });
      handOver();
    } else {
      observed.set(path, { detectedAt, identity, dueAtMs });
      timer ??= setInterval(lookAtDue, tickMs);
    }
  };

  const handOver = (): void => {
    if (handingOver !== undefined) return;
    // One turn of the event loop gathers what settles together into one batch.
    handingOver = new Promise<void>((resolve) => setImmediate(resolve))
      .then(async () => {
        while (settled.length > 0 && !closed) {
          const batch = settled;
          settled = [];
          lookNext();
          await onSettled(batch);
        }
      })
      .catch(onError)
      .finally(() => {
        handingOver = undefined;
        if (settled.length > 0 && !closed) handOver();
        lookNext();
      });
  };

  const lookAtDue = (): void => {
    const now = new Date();
    const nowMs = performance.now();
    for (const [path, { dueAtMs }] of observed) {
      if (dueAtMs <= nowMs) toLook.set(path, now);
    }
    if (observed.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
    lookNext();
  };

  const add = (path: RelativePath): void => {
    if (closed || observed.has(path) || toLook.has(path)) return;
    toLook.set(path, new Date());
    lookNext();
  };

  return {
    /** Resolves when there is room for more; the look itself comes later. */
    async offer(path: RelativePath): Promise<void> {
      add(path);
      if (toLook.size >= mostWaiting && !closed) await new Promise<void>((resolve) => roomWaiters.push(resolve));
    },

    /** As `offer`, without waiting: false where there is no room, and the path was not taken. */
    offerNow(path: RelativePath): boolean {
      if (toLook.size >= mostWaiting && !observed.has(path) && !toLook.has(path)) return false;
      add(path);
      return true;
    },

    /** How many files are observed or about to be. */
    size: (): number => observed.size + toLook.size + settled.length,

    /** Since when a path has been observed; undefined where it is not. */
    observing: (path: RelativePath): Date | undefined => observed.get(path)?.detectedAt ?? toLook.get(path),

    async [Symbol.asyncDispose]() {
      closed = true;
      clearInterval(timer);
      for (const resume of roomWaiters) resume();
      roomWaiters = [];
      await handingOver;
    },
  };
}

/** How long the file has rested by its own times; 0 where they lie in the future. */
function restMs({ mtimeNs, ctimeNs }: FileIdentity, nowMs: number): number {
  const lastMs = Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n);
  return Math.max(0, nowMs - lastMs);
}
