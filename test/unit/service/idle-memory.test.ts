import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { freeMemoryWhenIdle } from '../../../src/service/idle-memory.ts';

const gc = vi.fn();
beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('gc', gc);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  gc.mockReset();
});

test('memory is given back once after the start and once after each burst, not while there is work', () => {
  let idle = false;
  using _memory = freeMemoryWhenIdle(() => idle);
  vi.advanceTimersByTime(10_000);
  expect(gc).toHaveBeenCalledTimes(0);
  idle = true;
  vi.advanceTimersByTime(120_000);
  expect(gc).toHaveBeenCalledTimes(1);
  idle = false;
  vi.advanceTimersByTime(2000);
  idle = true;
  vi.advanceTimersByTime(120_000);
  expect(gc).toHaveBeenCalledTimes(2);
});

test('where files come one by one, it is not given back after each', () => {
  let idle = true;
  using _memory = freeMemoryWhenIdle(() => idle);
  for (let second = 0; second < 60; second += 5) {
    idle = true;
    vi.advanceTimersByTime(4000);
    idle = false;
    vi.advanceTimersByTime(1000);
  }
  expect(gc.mock.calls.length).toBeLessThanOrEqual(2);
});
