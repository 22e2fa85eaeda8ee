import type { RelativePath } from '../model.ts';

/**
 * Which file is worked on next. The queue itself lies in the journal, so that a million waiting files take no memory;
 * here are the few that are next, those that run, and those that wait for a later try.
 *
 * One pass a path at a time. Files are taken in their order, in lanes of their own (by size), so that a very large
 * file holds up no small one, and small ones do not hold up the large.
 */

/** A file in the queue. `position` grows whenever it is put there anew. */
export interface Job {
  readonly position: number;
  readonly path: RelativePath;
  /** Milliseconds since 1970. */
  readonly nextTryAt: number;
}

export interface Lane<J extends Job> {
  /** Passes at once. */
  readonly parallel: number;
  /** The next jobs behind `position`, in order. */
  next(position: number, limit: number): J[];
}

export interface TransferQueueOptions<J extends Job> {
  readonly lanes: readonly Lane<J>[];
  /** The job that waits under this path now: a pass begins with this, not with what was read a while ago. */
  current(path: RelativePath): J | undefined;
  /** Aborted when the passes still under way at the end are to be given up: what they know is in the journal. */
  readonly graceOver: AbortSignal;
  /** One pass. Resolves with the time of the next try (ms since 1970), or undefined where none is due. */
  run(job: J, signal: AbortSignal): Promise<number | undefined>;
  /** A pass threw: a defect, or a journal that cannot be written. It is tried again in a while. */
  onDefect(error: unknown, job: J): void;
}

const windowSize = 256;
const afterDefectMs = 30_000;
const whileRunningMs = 100;

export type TransferQueue = ReturnType<typeof createTransferQueue>;

export function createTransferQueue<J extends Job>(options: TransferQueueOptions<J>) {
  const { lanes, current, run, graceOver, onDefect } = options;
  const running = new Map<string, Promise<void>>();
  const later = new Map<string, { state: LaneState<J>; dueAtMs: number; job: J }>();
  const states: LaneState<J>[] = lanes.map((lane) => ({ lane, position: 0, ahead: [], running: 0, more: true }));
  const pauses = new Set<string>();
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let timerAtMs = Number.POSITIVE_INFINITY;

  const startNext = (): void => {
    for (const state of states) {
      while (pauses.size === 0 && !stopping && state.running < state.lane.parallel) {
        const job = take(state);
        if (job === undefined) break;
        start(state, job);
      }
    }
  };

  const take = (state: LaneState<J>): J | undefined => {
    for (let job = nextOf(state); job !== undefined; job = nextOf(state)) {
      const fresh = current(job.path);
      if (fresh?.position !== job.position) continue; // done meanwhile, or put in the queue anew
      if (running.has(job.path)) postpone(state, fresh, Date.now() + whileRunningMs);
      else if (fresh.nextTryAt > Date.now()) postpone(state, fresh, fresh.nextTryAt);
      else return fresh;
    }
    return undefined;
  };

  const start = (state: LaneState<J>, job: J): void => {
    state.running += 1;
    const pass = run(job, graceOver)
      .catch((error: unknown) => {
        onDefect(error, job);
        return Date.now() + afterDefectMs;
      })
      .then((nextTryAtMs) => {
        state.running -= 1;
        running.delete(job.path);
        if (nextTryAtMs !== undefined) postpone(state, job, nextTryAtMs);
        startNext();
      });
    running.set(job.path, pass);
  };

  const postpone = (state: LaneState<J>, job: J, dueAtMs: number): void => {
    later.set(job.path, { state, job, dueAtMs });
    arm(dueAtMs);
  };

  const arm = (atMs: number): void => {
    if (stopping || atMs >= timerAtMs) return;
    clearTimeout(timer);
    timerAtMs = atMs;
    timer = setTimeout(offerDue, Math.max(0, atMs - Date.now()));
  };

  const offerDue = (): void => {
    timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = Date.now();
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const [path, { state, job, dueAtMs }] of later) {
      if (dueAtMs > nowMs) {
        soonestMs = Math.min(soonestMs, dueAtMs);
      } else {
        later.delete(path);
        state.ahead.push(job);
      }
    }
    if (soonestMs < Number.POSITIVE_INFINITY) arm(soonestMs);
    startNext();
  };

  return {
    /** Files were put in the queue. */
    wake(): void {
      for (const state of states) state.more = true;
      startNext();
    },

    /** No new pass begins until every reason to pause is gone; those under way go on. */
    pause(reason: string): void {
      pauses.add(reason);
    },

    resume(reason: string): void {
      pauses.delete(reason);
      startNext();
    },

    isRunning: (path: string): boolean => running.has(path),
    running: (): number => running.size,

    /** Begins no new pass, and waits for those under way. */
    async [Symbol.asyncDispose]() {
      stopping = true;
      clearTimeout(timer);
      await Promise.all(running.values());
    },
  };
}

interface LaneState<J extends Job> {
  readonly lane: Lane<J>;
  /** The last position that was read. */
  position: number;
  /** What was read, the next one last. */
  ahead: J[];
  running: number;
  /** Whether there may be jobs behind `position`. */
  more: boolean;
}

function nextOf<J extends Job>(state: LaneState<J>): J | undefined {
  if (state.ahead.length === 0 && state.more) {
    const jobs = state.lane.next(state.position, windowSize);
    state.position = jobs.at(-1)?.position ?? state.position;
    state.more = jobs.length === windowSize;
    state.ahead = jobs.reverse();
  }
  return state.ahead.pop();
}
