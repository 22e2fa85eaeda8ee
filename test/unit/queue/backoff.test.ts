import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fullJitterMs } from '../../../src/queue/backoff.ts';

const scales = fc.record({ baseMs: fc.integer({ min: 1, max: 10_000 }), capMs: fc.integer({ min: 1, max: 10 ** 7 }) });
const attempts = fc.nat({ max: 10_000 });
const almostOne = 1 - Number.EPSILON / 2;

test('a delay is a whole number of ms, from 0 to below the bound of its attempt and the cap', () => {
  fc.assert(
    fc.property(attempts, scales, fc.double({ min: 0, max: almostOne, noNaN: true }), (attempt, scale, drawn) => {
      const delayMs = fullJitterMs(attempt, { ...scale, random: () => drawn });
      expect(Number.isSafeInteger(delayMs)).toBe(true);
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(Math.min(scale.capMs, scale.baseMs * 2 ** Math.min(attempt, 52)));
    }),
  );
});

test('the bound never shrinks with the attempts', () => {
  fc.assert(
    fc.property(attempts, scales, (attempt, scale) => {
      const most = (number: number) => fullJitterMs(number, { ...scale, random: () => almostOne });
      expect(most(attempt + 1)).toBeGreaterThanOrEqual(most(attempt));
    }),
  );
});

test('the bounds are those of the table', () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) =>
    fullJitterMs(attempt, { baseMs: 1000, capMs: 60_000, random: () => 1 }),
  );
  expect(bounds).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
});

test('many waiters do not come back in step', () => {
  const delays = Array.from({ length: 100 }, () => fullJitterMs(6, { baseMs: 1000, capMs: 60_000 }));
  expect(new Set(delays).size).toBeGreaterThan(90);
});
