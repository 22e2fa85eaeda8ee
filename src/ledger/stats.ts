import { conditionOf, type LedgerFilter } from './filter.ts';
import type { LedgerPool } from './pool.ts';

/** Figures of all rows that fit a filter. Days are those of `recorded_at`, in UTC. */
export interface LedgerStats {
  readonly uploaded: number;
  readonly duplicates: number;
  readonly failed: number;
  /** Of what was uploaded. */
  readonly bytes: number;
  readonly days: readonly DayStats[];
  /** Most frequent first, at most ten; what differs from file to file is left out of the reason. */
  readonly failures: readonly { readonly reason: string; readonly files: number }[];
  /** From the start of an upload to S3's acknowledgement. */
  readonly uploadSeconds: Percentiles;
  readonly bytesPerSecond: Percentiles;
  /** From S3's acknowledgement to the row in the ledger. */
  readonly recordingSeconds: Percentiles;
}

export interface DayStats {
  /** `2026-03-31` */
  readonly day: string;
  readonly uploaded: number;
  readonly duplicates: number;
  readonly failed: number;
  /** Of what was uploaded. */
  readonly bytes: number;
  /** The longest time from S3's acknowledgement to the row, in seconds. */
  readonly longestRecordingSeconds: number;
}

/**
 * To within 3 %: they are read from a histogram, of a part of the rows where there are very many. Null where there is
 * nothing to measure.
 */
export interface Percentiles {
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
}

/** Buckets of the histograms: each is so much of a factor e wide, which is 5 %. */
const bucketsPerE = 20;
const bucketOf = (value: string) => `floor(ln(${value}) * ${bucketsPerE})::int2`;

/**
 * By day and status. All that is read here and in the histograms stands in the index `uploads_recorded_at`. What is done
 * for each row takes longer than to read it: `date_bin` and a difference of times cost a fraction of `date_part`.
 */
const dayFigures = (where: string) => `
  SELECT date_bin('1 day', recorded_at, 'epoch') AS midnight, status, count(*) AS files,
         sum(size_bytes)::float8 AS bytes, date_part('epoch', max(recorded_at - uploaded_at)) AS longest
    FROM dropledger.uploads WHERE ${where} GROUP BY 1, 2`;

interface DayFigure {
  /** ISO 8601; days begin at midnight UTC, as the epoch did. */
  readonly midnight: string;
  readonly status: string;
  readonly files: number;
  readonly bytes: number;
  readonly longest: number | null;
}

/**
 * Percentiles of so many files are as good as those of more. Which ones is decided by the millisecond in which an upload
 * began: nothing that happens to files depends on it.
 */
const enoughFiles = 20_000;
const everyNth = (n: number) =>
  n <= 1 ? '' : `AND date_bin('${n} ms', started_at, 'epoch') = date_bin('1 ms', started_at, 'epoch')`;

const secondsBetween = (from: string, to: string) => `greatest(date_part('epoch', ${to} - ${from}), 0.001)`;

/** One pass for all of them. A percentile by sorting would take as long for each. OFFSET 0: compute each value once. */
const histograms = (where: string, nth: number) => `
  SELECT upload, rate, recording, count(*) AS files
    FROM (
      SELECT ${bucketOf('seconds')} AS upload, ${bucketOf('nullif(bytes, 0) / seconds')} AS rate,
             ${bucketOf('recording_seconds')} AS recording
        FROM (
          SELECT size_bytes::float8 AS bytes,
                 ${secondsBetween('started_at', 'uploaded_at')} AS seconds,
                 ${secondsBetween('uploaded_at', 'recorded_at')} AS recording_seconds
            FROM dropledger.uploads WHERE status = 'uploaded' AND ${where} ${everyNth(nth)} OFFSET 0
        ) AS measured
    ) AS placed
   GROUP BY GROUPING SETS ((upload), (rate), (recording))`;

/** All but one of them are null. */
interface Bucket {
  readonly upload: number | null;
  readonly rate: number | null;
  readonly recording: number | null;
  readonly files: number;
}

const sizeHistogram = (where: string) => `
  SELECT CASE WHEN size_bytes = 0 THEN 0 ELSE 2 ^ floor(ln(size_bytes::float8) / ln(2::float8) + 1e-9) END AS "fromBytes",
         count(*) AS files
    FROM dropledger.uploads WHERE status = 'uploaded' AND ${where} GROUP BY 1 ORDER BY 1`;

/** What stands between quotes, and numbers that stand alone, are the file's own. */
const failures = (where: string) => `
  SELECT regexp_replace(regexp_replace(coalesce(error, ''), '"[^"]*"|''[^'']*''', '…', 'g'),
           '(?<![[:alnum:]-])\\d+([.,]\\d+)*(?![[:alnum:]])', 'N', 'g') AS reason,
         count(*) AS files
    FROM dropledger.uploads
   WHERE status = 'failed' AND ${where}
   GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10`;

/** `estimate`: about how many rows fit. */
export async function readStats(
  pool: LedgerPool,
  filter: LedgerFilter,
  { estimate, signal }: { readonly estimate: number; readonly signal?: AbortSignal | undefined },
): Promise<LedgerStats> {
  const { sql, values } = conditionOf(filter);
  const nth = Math.floor(estimate / enoughFiles);
  const [dayRows, buckets, reasons] = await Promise.all([
    pool.query<DayFigure>(dayFigures(sql), values, signal),
    pool.query<Bucket>(histograms(sql, nth), values, signal),
    pool.query<{ reason: string; files: number }>(failures(sql), values, signal),
  ]);
  const days = daysOf(dayRows.rows);
  const sum = (name: 'uploaded' | 'duplicates' | 'failed' | 'bytes') =>
    days.reduce((total, day) => total + day[name], 0);
  return {
    uploaded: sum('uploaded'),
    duplicates: sum('duplicates'),
    failed: sum('failed'),
    bytes: sum('bytes'),
    days,
    failures: reasons.rows,
    uploadSeconds: percentiles(buckets.rows, 'upload'),
    bytesPerSecond: percentiles(buckets.rows, 'rate'),
    recordingSeconds: percentiles(buckets.rows, 'recording'),
  };
}

export interface SizeClass {
  /** A power of two, or 0 for empty files. */
  readonly fromBytes: number;
  readonly files: number;
}

/** How many uploaded files have at least so many bytes, and less than twice as many. */
export async function readSizes(pool: LedgerPool, filter: LedgerFilter, signal?: AbortSignal): Promise<SizeClass[]> {
  const { sql, values } = conditionOf(filter);
  return (await pool.query<{ fromBytes: number; files: number }>(sizeHistogram(sql), values, signal)).rows;
}

function daysOf(figures: readonly DayFigure[]): DayStats[] {
  const days = new Map<string, DayStats>();
  for (const { midnight, status, files, bytes, longest } of figures) {
    const day = midnight.slice(0, 10);
    const known = days.get(day) ?? { day, uploaded: 0, duplicates: 0, failed: 0, bytes: 0, longestRecordingSeconds: 0 };
    days.set(day, {
      ...known,
      ...(status === 'uploaded' && { uploaded: files, bytes, longestRecordingSeconds: longest ?? 0 }),
      ...(status === 'duplicate' && { duplicates: files }),
      ...(status === 'failed' && { failed: files }),
    });
  }
  return [...days.values()].sort((a, b) => (a.day < b.day ? -1 : 1));
}

function percentiles(figures: readonly Bucket[], name: 'upload' | 'rate' | 'recording'): Percentiles {
  const buckets = figures
    .flatMap((figure) => (figure[name] === null ? [] : [{ log: figure[name], files: figure.files }]))
    .sort((a, b) => a.log - b.log);
  const total = buckets.reduce((sum, { files }) => sum + files, 0);
  const at = (share: number): number | null => {
    let passed = 0;
    for (const { log, files } of buckets) {
      passed += files;
      if (passed >= share * total) return Math.exp((log + 0.5) / bucketsPerE);
    }
    return null;
  };
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
