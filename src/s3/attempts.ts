import { setTimeout as sleep } from 'node:timers/promises';
import { isWorthAnotherTry, S3Failure } from './failure.ts';

/** How often one request is tried before the caller is told that S3 is unavailable, and how long between: full jitter. */
export interface Patience {
  readonly attempts: number;
  readonly baseMs: number;
  readonly capMs: number;
}

export const usualPatience: Patience = { attempts: 5, baseMs: 100, capMs: 5_000 };

export interface AttemptsOptions {
  readonly patience: Patience;
  readonly signal: AbortSignal;
  /** Told of each failure. */
  readonly onFailure?: (failure: S3Failure) => void;
  /** Whether the same request may succeed in a moment. */
  readonly again?: (failure: S3Failure) => boolean;
}

/** Repeats a request while that may help. Throws the last `S3Failure`, or whatever else the request throws. */
export async function withAttempts<T>(
  request: () => Promise<T>,
  { patience, signal, onFailure, again = isWorthAnotherTry }: AttemptsOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error;
      onFailure?.(error);
      if (attempt >= patience.attempts || !again(error)) throw error;
      await pause(attempt, patience, signal);
    }
  }
}

async function pause(attempt: number, { baseMs, capMs }: Patience, signal: AbortSignal): Promise<void> {
  const ceilingMs = Math.min(capMs, baseMs * 2 ** (attempt - 1));
  try {
    await sleep(Math.random() * ceilingMs, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}
