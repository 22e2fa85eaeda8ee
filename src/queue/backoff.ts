/**
 * Back-off with full jitter: a delay drawn evenly from 0 to min(cap, base × 2^attempt), so that many waiters never
 * come back in step. With base 1 s and cap 60 s the upper bounds are, in ms:
 *
 *   attempt   0     1     2     3      4      5      6…
 *   at most   1000  2000  4000  8000   16000  32000  60000
 */
export function fullJitterMs(
  attempt: number,
  { baseMs, capMs, random = Math.random }: { baseMs: number; capMs: number; random?: () => number },
): number {
  const boundMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 52));
  return Math.floor(random() * boundMs);
}
