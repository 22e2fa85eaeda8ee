/**
 * Loaded into the daemon with `--import`: measures how long its event loop is late. SIGUSR2 begins anew; at the exit the
 * figures go into the file that BENCH_LOOP_DELAY_FILE names.
 */
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

export interface LoopDelay {
  readonly p99Ms: number;
  readonly maxMs: number;
}

const file = process.env['BENCH_LOOP_DELAY_FILE'];
if (isMainThread && file !== undefined) {
  const resolutionMs = 10;
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  process.on('SIGUSR2', () => delay.reset());
  process.on('exit', () => {
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs);
    const figures: LoopDelay = { p99Ms: late(delay.percentile(99)), maxMs: late(delay.max) };
    writeFileSync(file, JSON.stringify(figures));
  });
}
