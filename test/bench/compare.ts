/** The cases that peers run as well: the same files, in turns. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measured, Peer, Tuning } from './peers.ts';
import { makeSampleFiles, type SampleFiles } from './sample-files.ts';
import { passThrough, type Target, type Workplace } from './workplace.ts';

/** Medians over the runs. */
export interface Figures extends Measured {
  readonly name: string;
  readonly filesPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly cpuSecondsPerGb: number;
  readonly cpuSecondsPer1000Files: number;
  /** The daemon's alone. */
  readonly loopDelayP99Ms?: number;
  readonly loopDelayMaxMs?: number;
  /** Resident before the first file came; the daemon's alone. */
  readonly idleRssMb?: number;
}

export interface Comparison {
  readonly count: number;
  readonly size: number;
  readonly runs: number;
  readonly tools: readonly Figures[];
  /** Peers that failed, and why: they have no figures. */
  readonly failed: Readonly<Record<string, string>>;
}

export interface ComparisonOptions {
  readonly workplace: Workplace;
  readonly target: Target;
  readonly peers: readonly Peer[];
  readonly files: { readonly count: number; readonly size: number };
  readonly tuning: Tuning;
  readonly runs: number;
  say(text: string): void;
}

type DaemonRun = Measured & {
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  readonly idleRssMb: number;
};

/** By then what was just archived has rested again, and a daemon that has nothing to do has given its memory back. */
const restMs = 4000;

export async function compare(options: ComparisonOptions): Promise<Comparison> {
  const { workplace, peers, files: wanted, tuning, runs, say } = options;
  const files = await makeSampleFiles(join(workplace.folder, 'files'), wanted.count, wanted.size);
  const ours: DaemonRun[] = [];
  const theirs = new Map<string, Measured[]>();
  const failed: Record<string, string> = {};
  for (let run = 1; run <= runs; run += 1) {
    ours.push(await runDaemon(options, files, `run-${run}`));
    say(`  run ${run}: dropledger ${ours.at(-1)?.seconds.toFixed(2)} s`);
    for (const peer of peers.filter(({ name }) => failed[name] === undefined)) {
      try {
        const measured = await peer.run(files.folder, tuning);
        theirs.set(peer.name, [...(theirs.get(peer.name) ?? []), measured]);
        say(`  run ${run}: ${peer.name} ${measured.seconds.toFixed(2)} s`);
      } catch (error) {
        failed[peer.name] = String(error);
      }
    }
  }
  const tools = [
    figuresOf('dropledger', files, ours),
    ...[...theirs].filter(([name]) => failed[name] === undefined).map(([name, all]) => figuresOf(name, files, all)),
  ];
  return { ...wanted, runs, tools, failed };
}

/** From the moment the files are in the folder to the moment that all are in the ledger and in the archive. */
async function runDaemon(
  { workplace, target, tuning }: ComparisonOptions,
  files: SampleFiles,
  name: string,
): Promise<DaemonRun> {
  const daemon = workplace.start(target, { s3: { concurrency: tuning.parallel } });
  await daemon.ready;
  await sleep(restMs);
  const before = daemon.usage();
  daemon.beginDelay();
  const seconds = await passThrough(workplace, files, name);
  const after = daemon.usage();
  const { p99Ms, maxMs } = await daemon.stop();
  return {
    seconds,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    peakRssMb: after.peakRssMb,
    idleRssMb: before.rssMb,
    loopDelayP99Ms: p99Ms,
    loopDelayMaxMs: maxMs,
  };
}

function figuresOf(name: string, { count, size }: SampleFiles, runs: readonly Partial<DaemonRun>[]): Figures {
  const of = (key: keyof DaemonRun) => median(runs.map((run) => run[key] ?? Number.NaN));
  const [seconds, cpuSeconds] = [of('seconds'), of('cpuSeconds')];
  const megabytes = (count * size) / 1e6;
  const figures = {
    name,
    seconds,
    cpuSeconds,
    peakRssMb: Math.max(...runs.map((run) => run.peakRssMb ?? 0)),
    filesPerSecond: count / seconds,
    megabytesPerSecond: megabytes / seconds,
    cpuSecondsPerGb: (cpuSeconds / megabytes) * 1000,
    cpuSecondsPer1000Files: (cpuSeconds / count) * 1000,
  };
  if (name !== 'dropledger') return figures;
  const delays = { loopDelayP99Ms: of('loopDelayP99Ms'), loopDelayMaxMs: of('loopDelayMaxMs') };
  return { ...figures, ...delays, idleRssMb: of('idleRssMb') };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
