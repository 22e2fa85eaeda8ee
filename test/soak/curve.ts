import type { ProcessState } from './process-state.ts';

/** One point of the curve. */
export interface Sample extends ProcessState {
  readonly seconds: number;
  /** Which of the hours these files stand for; where hours are simulated. */
  readonly hour?: number;
  /** Rows in the ledger. */
  readonly files: number;
  readonly journalMb: number;
  readonly cpuSeconds: number;
}

/** Beyond these it is growth and no noise. */
const limits = {
  /** V8 lets its heap breathe by this much. */
  rssMb: 15,
  rssPart: 0.1,
  descriptors: 8,
  inotifyWatches: 0,
  threads: 2,
  /** A stored file is remembered for a year (`journal.rememberDays`), and that takes this much. */
  journalBytesAFile: 700,
};

/**
 * What grows, each as a sentence: the last quarter of the curve is held against the second (in the first one, caches
 * fill and code is compiled).
 */
export function growthIn(samples: readonly Sample[]): string[] {
  const second = quarter(samples, 1);
  const last = quarter(samples, 3);
  if (second.length === 0 || last.length === 0) return ['the run was too short for a curve'];
  const found: string[] = [];
  const compare = (
    what: string,
    of: (sample: Sample) => number,
    most: (before: number) => number,
    typical = median,
  ) => {
    const [before, after] = [typical(second.map(of)), typical(last.map(of))];
    if (after > most(before)) found.push(`${what}: from ${Math.round(before)} to ${Math.round(after)}`);
  };
  compare(
    'MB of memory',
    ({ rssMb }) => rssMb,
    (before) => before * (1 + limits.rssPart) + limits.rssMb,
  );
  compare(
    'descriptors',
    ({ descriptors }) => descriptors,
    (before) => before + limits.descriptors,
    least, // those of files come and go with the load
  );
  compare(
    'inotify watches',
    ({ inotifyWatches }) => inotifyWatches,
    (before) => before + limits.inotifyWatches,
  );
  compare(
    'threads',
    ({ threads }) => threads,
    (before) => before + limits.threads,
  );
  const perFile = journalBytesAFile(samples);
  if (perFile > limits.journalBytesAFile) found.push(`the journal: ${Math.round(perFile)} bytes for each file`);
  return found;
}

/** From the end of the first quarter on. */
export function journalBytesAFile(samples: readonly Sample[]): number {
  const [from, to] = [quarter(samples, 1)[0], samples.at(-1)];
  if (from === undefined || to === undefined || to.files === from.files) return 0;
  return ((to.journalMb - from.journalMb) * 1e6) / (to.files - from.files);
}

const quarter = (samples: readonly Sample[], index: number): readonly Sample[] =>
  samples.slice(Math.floor((samples.length * index) / 4), Math.floor((samples.length * (index + 1)) / 4));

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const least = (values: readonly number[]): number => Math.min(...values);

type Column = readonly [title: string, cell: (sample: Sample) => string];
const hourColumn: Column = ['hour', ({ hour = 0 }) => hour.toFixed(1)];
const usualColumns: readonly Column[] = [
  ['time, s', ({ seconds }) => seconds.toFixed(0)],
  ['files', ({ files }) => String(files)],
  ['RSS, MB', ({ rssMb }) => rssMb.toFixed(1)],
  ['descriptors', ({ descriptors }) => String(descriptors)],
  ['watches', ({ inotifyWatches }) => String(inotifyWatches)],
  ['threads', ({ threads }) => String(threads)],
  ['journal, MB', ({ journalMb }) => journalMb.toFixed(2)],
  ['CPU, s', ({ cpuSeconds }) => cpuSeconds.toFixed(1)],
];

/** At most `most` lines, evenly chosen, first and last among them. */
export function curveText(samples: readonly Sample[], most = 40): string {
  const step = Math.max(1, Math.ceil((samples.length - 1) / (most - 1)));
  const columns = samples.some(({ hour }) => hour !== undefined) ? [hourColumn, ...usualColumns] : usualColumns;
  const shown = samples.filter((_, index) => index % step === 0 || index === samples.length - 1);
  const lines = [columns.map(([title]) => title), ...shown.map((sample) => columns.map(([, cell]) => cell(sample)))];
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => line.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n');
}
