const lookEveryMs = 1000;
/** Collecting takes a tenth of a second, and all else waits for it: where files come one by one, it is not done after each. */
const leastBetweenMs = 30_000;

/**
 * Gives memory back once nothing is left to do: V8 itself collects when something needs room, which in an idle daemon
 * nothing does (15 MB after the start, more after a burst). Does nothing where Node runs without `--expose-gc`.
 */
export function freeMemoryWhenIdle(isIdle: () => boolean): Disposable {
  let worked = true;
  let idleBefore = false;
  let lastMs = Number.NEGATIVE_INFINITY;
  const look = (): void => {
    const idle = isIdle();
    worked ||= !idle;
    const nowMs = performance.now();
    if (idle && idleBefore && worked && nowMs - lastMs >= leastBetweenMs) {
      worked = false;
      lastMs = nowMs;
      globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    }
    idleBefore = idle;
  };
  const timer = setInterval(look, lookEveryMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
