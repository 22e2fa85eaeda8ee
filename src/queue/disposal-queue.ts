import { setTimeout as sleep } from 'node:timers/promises';

/** Takes the files out of the drop folder whose rows are in the ledger, in batches, one batch at a time. */
export interface DisposalQueueOptions<F> {
  /** The next files to dispose of, behind `position`. */
  next(position: number, limit: number): { readonly position: number; readonly file: F }[];
  /** Disposes of them and notes it. What it cannot dispose of now stays, and is offered again at the next `wake`. */
  dispose(files: readonly F[]): Promise<void>;
  onError(error: unknown): void;
  /** Aborted when what is left is for the next start: no batch begins after that. */
  readonly graceOver?: AbortSignal;
}

const batchSize = 1000;
/** Files recorded meanwhile are gathered: each batch syncs every folder it touches, which stops the disk's other work. */
const restMs = 250;

export function createDisposalQueue<F>({ next, dispose, onError, graceOver }: DisposalQueueOptions<F>) {
  let woken = false;
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
      let position = 0;
      for (let batch = next(position, batchSize); batch.length > 0; batch = next(position, batchSize)) {
        if (graceOver?.aborted) return;
        await dispose(batch.map(({ file }) => file));
        position = batch.at(-1)?.position ?? position;
      }
      restsUntilMs = performance.now() + restMs;
    }
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
      while (working !== undefined) await working;
    },
  };
}
