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
  /** The next jobs behind `position`, in order: all that there are up to `upTo`. `more` may lie behind that. */
  next(position: number, limit: number): { readonly jobs: readonly J[]; readonly upTo: number; readonly more: boolean };
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
/** `setTimeout` fires at once for more than 2^31 - 1 ms; a due time that far away comes from a clock set back. */
const longestTimerMs = 60_000;
const afterDefectMs = 30_000;
/** The first rest after a defect; each further one, with no good pass in between, is twice as long. */
const leastRestMs = 250;
const afterADefect = Symbol('a defect');
const whileRunningMs = 100;
/** The later tries are looked through no more often than this, and a long list of them (1 ms for 1,000) less often. */
const leastBetweenLooksMs = 100;

export function createTransferQueue<J extends Job>(options: TransferQueueOptions<J>) {
  const { lanes, current, run, graceOver, onDefect } = options;
  const running = new Map<string, Promise<void>>();
  const later = new Map<string, { readonly state: LaneState<J>; readonly dueAtMs: number }>();
  const states: LaneState<J>[] = lanes.map((lane) => ({ lane, position: 0, ahead: [], running: 0, more: true }));
  const pauses = new Set<string | typeof afterADefect>();
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let timerAtMs = Number.POSITIVE_INFINITY;
  let lookedAtMs = 0;
  let readingOn: NodeJS.Immediate | undefined;
  let defectsInARow = 0;
  let resting: NodeJS.Timeout | undefined;

  const startNext = (): void => {
    for (const state of states) {
      if (isFree(state) && state.ahead.length === 0 && state.more) readAhead(state);
      while (isFree(state)) {
        const job = take(state);
        if (job === undefined) break;
        start(state, job);
      }
      // One window a turn of the event loop: a lane may have to pass by a great many jobs that are not its own, or not due.
      if (isFree(state) && state.more) readingOn ??= setImmediate(readOn);
    }
  };

  const readOn = (): void => {
    readingOn = undefined;
    startNext();
  };

  const isFree = (state: LaneState<J>): boolean =>
    pauses.size === 0 && !stopping && state.running < state.lane.parallel;

  const take = (state: LaneState<J>): J | undefined => {
    for (let job = state.ahead.pop(); job !== undefined; job = state.ahead.pop()) {
      const fresh = current(job.path);
      if (fresh?.position !== job.position) continue; // done meanwhile, or put in the queue anew
      if (running.has(job.path)) postpone(state, job.path, Date.now() + whileRunningMs);
      else if (fresh.nextTryAt > Date.now()) postpone(state, job.path, fresh.nextTryAt);
      else return fresh;
    }
    return undefined;
  };

  const start = (state: LaneState<J>, job: J): void => {
    state.running += 1;
    const pass = run(job, graceOver)
      .then((nextTryAtMs) => {
        defectsInARow = 0;
        return nextTryAtMs;
      })
      .catch((error: unknown) => {
        onDefect(error, job);
        rest();
        return Date.now() + afterDefectMs;
      })
      .then((nextTryAtMs) => {
        state.running -= 1;
        running.delete(job.path);
        if (nextTryAtMs !== undefined) postpone(state, job.path, nextTryAtMs);
        startNext();
      });
    running.set(job.path, pass);
  };

  /** Where the journal cannot be written, all would fail: one after the other they would only fill the log. */
  const rest = (): void => {
    if (resting !== undefined || stopping) return;
    pauses.add(afterADefect);
    resting = setTimeout(
      () => {
        resting = undefined;
        pauses.delete(afterADefect);
        startNext();
      },
      Math.min(afterDefectMs, leastRestMs * 2 ** defectsInARow),
    );
    defectsInARow += 1;
  };

  /** By its path: which job is under it when its time has come, the journal says then. */
  const postpone = (state: LaneState<J>, path: string, dueAtMs: number): void => {
    later.set(path, { state, dueAtMs });
    arm(dueAtMs);
  };

  const arm = (dueAtMs: number): void => {
    const atMs = Math.max(dueAtMs, lookedAtMs + Math.max(leastBetweenLooksMs, later.size / 1000));
    if (stopping || atMs >= timerAtMs) return;
    clearTimeout(timer);
    timerAtMs = atMs;
    timer = setTimeout(offerDue, Math.min(Math.max(0, atMs - Date.now()), longestTimerMs));
  };

  const offerDue = (): void => {
    timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = Date.now();
    lookedAtMs = nowMs;
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const [path, { state, dueAtMs }] of later) {
      if (dueAtMs > nowMs) {
        soonestMs = Math.min(soonestMs, dueAtMs);
      } else {
        later.delete(path);
        const job = current(path as RelativePath);
        if (job !== undefined) state.ahead.push(job);
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

    running: (): number => running.size,

    /** Begins no new pass, and waits for those under way. */
    async [Symbol.asyncDispose]() {
      stopping = true;
      clearTimeout(timer);
      clearImmediate(readingOn);
      clearTimeout(resting);
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

function readAhead<J extends Job>(state: LaneState<J>): void {
  const { jobs, upTo, more } = state.lane.next(state.position, windowSize);
  state.position = upTo;
  state.more = more;
  state.ahead = jobs.toReversed();
}
