/**
 * The report: one HTML page with everything inside it, which loads nothing. Its policy lets the two scripts that stand
 * in it run and no other, so that nothing that a file name brings can do anything.
 */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { RecordedRow } from '../../../ledger/reader.ts';
import type { DayStats, LedgerStats, Percentiles, SizeClass } from '../../../ledger/stats.ts';
import { bytesText, countText, printable, secondsText, timeText } from '../../terminal/text.ts';

export interface ReportFacts {
  /** Such as `the last 30 days`. */
  readonly period: string;
  readonly madeAt: Date;
  /** Host and database, for the head line. */
  readonly ledger: string;
  readonly stats: LedgerStats;
  readonly sizes: readonly SizeClass[];
  readonly slowest: readonly RecordedRow[];
  readonly failures: readonly RecordedRow[];
}

const own = (name: string) => read(new URL(name, import.meta.url).href);
const plotting = {
  script: import.meta.resolve('uplot/dist/uPlot.iife.min.js'),
  style: import.meta.resolve('uplot/dist/uPlot.min.css'),
};
const read = (url: string) => readFileSync(fileURLToPath(url), 'utf8');

export function reportPage(facts: ReportFacts): string {
  const scripts = [read(plotting.script), own('charts.js')];
  const policy = [
    "default-src 'none'",
    "style-src 'unsafe-inline'",
    `script-src ${scripts.map((script) => `'sha256-${hash('sha256', script, 'base64')}'`).join(' ')}`,
  ].join('; ');
  const { period, madeAt, ledger, stats, sizes, slowest, failures } = facts;
  const days = withoutGaps(stats.days);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>dropledger: ${escaped(period)}</title>
<style>${read(plotting.style)}${own('page.css')}</style>
</head>
<body>
<header>
<h1>Uploads, ${escaped(period)}</h1>
<p>From the ledger ${escaped(ledger)}, ${timeText(madeAt.toISOString())}. All times are UTC; days are those of recording.</p>
</header>
<main>
${totals(stats)}
${chartSection('files', 'Files by day', filesSaid(days), days)}
${chartSection('bytes', 'Bytes by day', bytesSaid(days), days)}
${sizeSection(sizes)}
${speedSection(stats)}
${chartSection('recording', 'Ledger lag', lagSaid(days), days)}
${failureSection(stats, failures)}
${slowestSection(slowest)}
${dayTable(days)}
</main>
<script type="application/json" id="data">${inScript(chartData(days))}</script>
${scripts.map((script) => `<script>${script}</script>`).join('\n')}
</body>
</html>
`;
}

const escaped = (text: string): string =>
  printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const inScript = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

function totals({ uploaded, bytes, duplicates, failed, uploadSeconds, recordingSeconds }: LedgerStats): string {
  const half = ({ p50 }: Percentiles) => (p50 === null ? '–' : secondsText(p50));
  const tiles: [string, string, string?][] = [
    ['Files uploaded', countText(uploaded)],
    ['Bytes uploaded', bytesText(bytes)],
    ['Duplicates', countText(duplicates)],
    ['Failures', countText(failed), failed > 0 ? 'bad' : undefined] as [string, string, string?],
    ['Median upload', half(uploadSeconds)],
    ['Median ledger lag', half(recordingSeconds)],
  ];
  const tile = ([name, value, style]: [string, string, string?]) =>
    `<div${style === undefined ? '' : ` class="${style}"`}><dt>${name}</dt><dd>${value}</dd></div>`;
  return `<dl class="totals" aria-label="Totals">${tiles.map(tile).join('')}</dl>`;
}

function chartSection(name: string, title: string, said: string, days: readonly DayStats[]): string {
  if (days.length === 0) return section(name, title, '<p class="note">Nothing was recorded.</p>');
  return section(
    name,
    title,
    `<figure><div class="chart" data-chart="${name}" role="img" aria-label="${escaped(`${title}. ${said}`)}"></div>
<figcaption>${escaped(said)}</figcaption></figure>`,
  );
}

/** The figures of all charts, for who can't see them or wants to copy them. */
function dayTable(days: readonly DayStats[]): string {
  const rows = days.map((day) => [
    wholeCell(day.day),
    number(countText(day.uploaded)),
    number(countText(day.duplicates)),
    number(countText(day.failed)),
    number(bytesText(day.bytes)),
    number(secondsText(day.longestRecordingSeconds)),
  ]);
  const heads = ['Day', '#Uploaded', '#Duplicates', '#Failed', '#Bytes', '#Longest lag'];
  return section('days', 'By day', `<details><summary>All figures as a table</summary>${table(heads, rows)}</details>`);
}

const section = (name: string, title: string, content: string): string =>
  `<section aria-labelledby="${name}"><h2 id="${name}">${title}</h2>\n${content}\n</section>`;

const cell = (text: string): string => `<td>${escaped(text)}</td>`;
const wholeCell = (text: string): string => `<td class="whole">${escaped(text)}</td>`;
const number = (text: string): string => `<td class="number">${escaped(text)}</td>`;
const pathCell = (text: string): string => `<td class="path">${escaped(text)}</td>`;
const barCell = (share: number, style = ''): string =>
  `<td class="bar"><i${style} style="width:${(share * 100).toFixed(1)}%"></i></td>`;

/** Heads that begin with # stand above numbers. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads
    .map((text) => `<th scope="col"${text.startsWith('#') ? ' class="number"' : ''}>${text.replace('#', '')}</th>`)
    .join('');
  const body = rows.map((row) => `<tr>${row.join('')}</tr>`).join('\n');
  return `<div class="scroll"><table class="data"><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function sizeSection(sizes: readonly SizeClass[]): string {
  const most = Math.max(...sizes.map(({ files }) => files), 1);
  const rows = sizes.map(({ fromBytes, files }) => [
    wholeCell(fromBytes === 0 ? 'empty' : `${bytesText(fromBytes)} to ${bytesText(fromBytes * 2)}`),
    number(countText(files)),
    barCell(files / most),
  ]);
  return section('sizes', 'Sizes of uploaded files', table(['Size', '#Files', ''], rows));
}

function speedSection({ uploadSeconds, bytesPerSecond, recordingSeconds }: LedgerStats): string {
  const row = (name: string, { p50, p90, p99 }: Percentiles, text: (value: number) => string) => [
    cell(name),
    ...[p50, p90, p99].map((value) => number(value === null ? '–' : text(value))),
  ];
  const rows = [
    row('Upload, from its start to S3’s acknowledgement', uploadSeconds, secondsText),
    row('Throughput of one file', bytesPerSecond, (rate) => `${bytesText(rate)}/s`),
    row('Ledger lag, from there to the row', recordingSeconds, secondsText),
  ];
  return section('speed', 'Speed', table(['', '#Median', '#90 % are below', '#99 % are below'], rows));
}

function failureSection({ failures: reasons }: LedgerStats, rows: readonly RecordedRow[]): string {
  if (reasons.length === 0) return section('failures', 'Failures', '<p class="note">None.</p>');
  const most = Math.max(...reasons.map(({ files }) => files), 1);
  const byReason = reasons.map(({ reason, files }) => [
    cell(reason),
    number(countText(files)),
    barCell(files / most, ' class="bad"'),
  ]);
  const newest = rows.map((row) => [wholeCell(timeText(row.recorded_at)), pathCell(row.path), cell(row.error ?? '')]);
  return section(
    'failures',
    'Failures',
    `${table(['Reason', '#Files', ''], byReason)}
<details open><summary>The newest ${rows.length}</summary>${table(['Recorded', 'Path', 'Reason'], newest)}</details>`,
  );
}

function slowestSection(rows: readonly RecordedRow[]): string {
  const secondsOf = ({ started_at, uploaded_at }: RecordedRow) =>
    started_at === null || uploaded_at === null ? 0 : (Date.parse(uploaded_at) - Date.parse(started_at)) / 1000;
  const body = rows.map((row) => [
    pathCell(row.path),
    wholeCell(row.host),
    number(bytesText(row.size_bytes)),
    number(secondsText(secondsOf(row))),
    number(String(row.attempts)),
  ]);
  return section('slowest', 'Slowest uploads', table(['Path', 'Host', '#Size', '#Took', '#Attempts'], body));
}

const greatest = (days: readonly DayStats[], of: (day: DayStats) => number): DayStats | undefined =>
  days.reduce<DayStats | undefined>((most, day) => (most === undefined || of(day) > of(most) ? day : most), undefined);

function filesSaid(days: readonly DayStats[]): string {
  const day = greatest(days, ({ uploaded }) => uploaded);
  return day === undefined ? '' : `Most on ${day.day}: ${countText(day.uploaded)} files.`;
}

function bytesSaid(days: readonly DayStats[]): string {
  const day = greatest(days, ({ bytes }) => bytes);
  return day === undefined ? '' : `Most on ${day.day}: ${bytesText(day.bytes)}.`;
}

function lagSaid(days: readonly DayStats[]): string {
  const day = greatest(days, ({ longestRecordingSeconds }) => longestRecordingSeconds);
  const said = 'The longest time, each day, from S3’s acknowledgement to the row in the ledger.';
  return day === undefined ? said : `${said} Longest on ${day.day}: ${secondsText(day.longestRecordingSeconds)}.`;
}

/** Days on which nothing was recorded are days, too. */
function withoutGaps(days: readonly DayStats[]): DayStats[] {
  const [first] = days;
  const last = days.at(-1);
  if (first === undefined || last === undefined) return [];
  const known = new Map(days.map((day) => [day.day, day]));
  const all: DayStats[] = [];
  for (let at = Date.parse(first.day); at <= Date.parse(last.day); at += 86_400_000) {
    const day = new Date(at).toISOString().slice(0, 10);
    const none = { day, uploaded: 0, duplicates: 0, failed: 0, bytes: 0, longestRecordingSeconds: 0 };
    all.push(known.get(day) ?? none);
  }
  return all;
}

const chartData = (days: readonly DayStats[]) => ({
  days: days.map(({ day }) => Date.parse(day) / 1000),
  charts: {
    files: {
      unit: 'count',
      series: [
        { label: 'uploaded', paint: 'blue', values: days.map(({ uploaded }) => uploaded) },
        { label: 'failed', paint: 'red', values: days.map(({ failed }) => failed) },
      ],
    },
    bytes: { unit: 'bytes', series: [{ label: 'bytes', paint: 'blue', values: days.map(({ bytes }) => bytes) }] },
    recording: {
      unit: 'seconds',
      series: [{ label: 'longest lag', paint: 'amber', values: days.map(({ longestRecordingSeconds: lag }) => lag) }],
    },
  },
});
