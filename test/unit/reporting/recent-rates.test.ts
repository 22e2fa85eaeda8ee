import { expect, test } from 'vitest';
import { createRecentRates } from '../../../src/reporting/recent-rates.ts';

function open() {
  let nowMs = 1_700_000_000_000;
  const rates = createRecentRates(() => nowMs);
  return { rates, passSeconds: (seconds: number) => (nowMs += seconds * 1000) };
}

test('each second has its own sum, the oldest first', () => {
  const { rates, passSeconds } = open();
  rates.countBytes(10);
  rates.countBytes(5);
  rates.countFile();
  passSeconds(2);
  rates.countBytes(7);
  expect(rates.bytes().slice(-4)).toEqual([0, 15, 0, 7]);
  expect(rates.files().slice(-4)).toEqual([0, 1, 0, 0]);
  expect(rates.bytes()).toHaveLength(60);
});

test.each([59, 60, 61, 100_000, -3600])('what is older than a minute is forgotten, also after %i s', (seconds) => {
  const { rates, passSeconds } = open();
  rates.countBytes(10);
  passSeconds(seconds);
  expect(rates.bytes().reduce((sum, bytes) => sum + bytes)).toBe(seconds === 59 ? 10 : 0);
  rates.countBytes(3);
  expect(rates.bytes().at(-1)).toBe(3);
});
