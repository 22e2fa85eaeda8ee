/** How much of something was done in each of the last seconds. */
const secondsKept = 60;

export function createRecentRates(now: () => number = Date.now) {
  const bytes = new Float64Array(secondsKept);
  const files = new Float64Array(secondsKept);
  let second = Math.floor(now() / 1000);

  /** The place of this second; those since the last one are empty. */
  const place = (): number => {
    const current = Math.floor(now() / 1000);
    if (current < second || current - second >= secondsKept) {
      bytes.fill(0); // a clock that was set back, or a long rest
      files.fill(0);
    } else {
      for (let at = second + 1; at <= current; at += 1) bytes[at % secondsKept] = files[at % secondsKept] = 0;
    }
    second = current;
    return current % secondsKept;
  };

  const oldestFirst = (ring: Float64Array): number[] => {
    const current = place();
    return Array.from(ring, (_, index) => ring[(current + 1 + index) % secondsKept] ?? 0);
  };

  return {
    countBytes(count: number): void {
      const at = place();
      bytes[at] = (bytes[at] ?? 0) + count;
    },
    countFile(): void {
      const at = place();
      files[at] = (files[at] ?? 0) + 1;
    },
    /** The oldest second first, the one that is under way last. */
    bytes: (): number[] => oldestFirst(bytes),
    files: (): number[] => oldestFirst(files),
  };
}
