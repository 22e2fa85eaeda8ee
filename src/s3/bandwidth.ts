import { setTimeout as sleep } from 'node:timers/promises';

export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>;

/** Keeps what is sent, over all requests, to so many megabits a second: each piece waits until those before it are due. */
export function createPace(maxMbitPerSecond: number): Pace {
  const msPerByte = 8 / (maxMbitPerSecond * 1000);
  let dueAt = 0;
  return async (bytes, signal) => {
    const now = performance.now();
    const startAt = Math.max(dueAt, now);
    dueAt = startAt + bytes * msPerByte;
    // timers are too coarse for less
    if (startAt - now < 2) return;
    try {
      await sleep(startAt - now, undefined, { signal });
    } catch {
      signal.throwIfAborted();
    }
  };
}
