import { setTimeout as sleep } from 'node:timers/promises';

/** Takes the files out of the drop folder whose rows are in the ledger, in batches, one batch at a time. */
export interface DisposalQueueOptions<F> {
  /** The next files to dispose of, behind `position`. */
  next(position: number, limit: number): { readonly position: number; readonly file: F }[];
  /** Disposes of them and notes it. What it cannot dispose of now stays; it resolves with how many those are. */
  dispose(files: readonly F[]): Promise<number>;
  /** How long those wait before the first, second… time that they are tried again, in ms. */
  delayMs(attempt: number): number;
  onError(error: unknown): void;
  /** Aborted when what is left is for the next start: no batch begins after that. */
  readonly graceOver?: AbortSignal;
}

/** What a batch holds, and what it came to, is gone through in one turn of the event loop each. */
const batchSize = 256;
/** Files recorded meanwhile are gathered: each batch syncs every folder it touches, which stops the disk's other work. */
const restMs = 250;

export function createDisposalQueue<F>({ next, dispose, delayMs, onError, graceOver }: DisposalQueueOptions<F>) {
  let woken = false;
  /** The archive is full, say: until its time has come, files up to this position are not offered again. */
  let blocked: { readonly untilMs: number; upTo: number; readonly attempts: number } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let restsUntilMs = 0;
  const closing = new AbortController();

  const rest = async (): Promise<void> => {
    const ms = restsUntilMs - performance.now();
    if (ms > 0) await sleep(ms, undefined, { signal: closing.signal }).catch(() => undefined);
  };

  const work = async (): Promise<void> => {
    while (woken) {
      await rest();
      woken = false;
      await walk();
      if (graceOver?.aborted) return;
      restsUntilMs = performance.now() + restMs;
    }
  };

  /** All that is due, from the first on, or behind what is blocked. */
  const walk = async (): Promise<void> => {
    const before = blocked !== undefined && performance.now() < blocked.untilMs ? blocked : undefined;
    let position = before?.upTo ?? 0;
    let failed = 0;
    for (let batch = next(position, batchSize); batch.length > 0; batch = next(position, batchSize)) {
      if (graceOver?.aborted) return;
      failed += await dispose(batch.map(({ file }) => file));
      position = batch.at(-1)?.position ?? position;
    }
    if (before !== undefined) before.upTo = position;
    else blocked = failed > 0 ? blockedUpTo(position, (blocked?.attempts ?? 0) + 1) : undefined;
  };

  const blockedUpTo = (position: number, attempts: number) => {
    const waitMs = delayMs(attempts);
    clearTimeout(timer);
    timer = setTimeout(wake, waitMs + 1).unref();
    return { untilMs: performance.now() + waitMs, upTo: position, attempts };
  };

  /** Files were recorded, or something that was in the way may be gone. */
  const wake = (): void => {
    woken = true;
    working ??= work()
      .catch(onError)
      .finally(() => {
        working = undefined;
        if (woken && !graceOver?.aborted) wake();
      });
  };

  return {
    wake,

    /** Finishes what it was woken for, as far as the grace time lasts. */
    async [Symbol.asyncDispose]() {
      closing.abort();
      clearTimeout(timer);
      while (working !== undefined) await working;
    },
  };
}
