import type { QuarantineReport } from '../control/protocol.ts';

/** A larger quarantine is not counted to its end: that it is far from empty is all that matters. */
const mostCounted = 10_000;
/** A small one costs nothing to count. */
const smallFiles = 500;
const countSmallAgainMs = 2000;
const countLargeAgainMs = 60_000;

/** How many files are in quarantine, counted in the background now and then: nobody waits for a walk through folders. */
export function createQuarantineCount(count: (most: number) => Promise<number>) {
  let known: QuarantineReport = { files: null, more: false };
  let countedAtMs = Number.NEGATIVE_INFINITY;

  const countAgain = async (): Promise<void> => {
    const files = await count(mostCounted);
    known = { files, more: files >= mostCounted };
  };

  /** As last counted; counts again if that is a while ago. */
  return (): QuarantineReport => {
    const againMs = (known.files ?? 0) < smallFiles ? countSmallAgainMs : countLargeAgainMs;
    if (performance.now() - countedAtMs > againMs) {
      countedAtMs = performance.now();
      countAgain().catch(() => undefined); // a later question asks again
    }
    return known;
  };
}
