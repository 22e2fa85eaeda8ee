import { statfs } from 'node:fs/promises';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type MeasuredState, metricsOfState } from './state-metrics.ts';

/** Told of single facts, as they happen. */
export interface MeasuredEvents {
  uploaded(bytes: number, seconds: number): void;
  retried(kind: string): void;
}

export interface RegistryOptions {
  report(): Promise<MeasuredState>;
  observe(events: MeasuredEvents): void;
  /** Folders whose file systems' free space is told, by the name they are told under. */
  readonly places: Readonly<Record<string, string>>;
}

/** A timer of its own measures the event loop's delay: at this interval it costs nothing to speak of. */
const loopDelayEveryMs = 100;
const uploadSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
const uploadBytes = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11];

/**
 * The daemon's metrics. Most are read from its report when they are asked for; what the report does not keep, the
 * distributions, is counted as it happens.
 */
export function createRegistry({ report, observe, places }: RegistryOptions) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: loopDelayEveryMs });

  const seconds = new Histogram({
    name: 'dropledger_upload_duration_seconds',
    help: 'From the start of the pass that uploaded a file until its row was in the local journal.',
    buckets: uploadSeconds,
    registers,
  });
  const bytes = new Histogram({
    name: 'dropledger_upload_size_bytes',
    help: 'Sizes of the files that were uploaded.',
    buckets: uploadBytes,
    registers,
  });
  const retries = new Counter({
    name: 'dropledger_retries_total',
    help: 'Attempts to upload a file that failed and are repeated, by what was in the way.',
    labelNames: ['kind'],
    registers,
  });
  observe({
    uploaded(size, took) {
      seconds.observe(took);
      bytes.observe(size);
    },
    retried: (kind) => retries.inc({ kind }),
  });

  const take = metricsOfState(registry);
  const free = new Gauge({
    name: 'dropledger_free_bytes',
    help: 'Free space on the file system of a folder.',
    labelNames: ['place'],
    registers,
  });

  return {
    contentType: registry.contentType,
    async text(): Promise<string> {
      take(await report());
      free.reset();
      for (const [place, path] of Object.entries(places)) {
        const stats = await statfs(path).catch(() => undefined);
        if (stats !== undefined) free.set({ place }, stats.bavail * stats.bsize);
      }
      return registry.metrics();
    },
    clear: () => registry.clear(),
  };
}
