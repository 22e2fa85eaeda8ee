import { describeError } from './log-error.ts';

const mostRemembered = 100;

/** Says each distinct error at most once in `everyMs`: what fails for one file often fails for thousands. */
export function sayRarely<Rest extends unknown[]>(everyMs: number, say: (error: unknown, ...rest: Rest) => void) {
  const saidAtMs = new Map<string, number>();
  return (error: unknown, ...rest: Rest): void => {
    const what = describeError(error);
    if (Date.now() - (saidAtMs.get(what) ?? Number.NEGATIVE_INFINITY) < everyMs) return;
    if (saidAtMs.size >= mostRemembered) saidAtMs.clear();
    saidAtMs.set(what, Date.now());
    say(error, ...rest);
  };
}
