/** A daemon's state for a person at a terminal, line by line. */
import type { DaemonReport, PauseReport, TransferReport } from '../../control/protocol.ts';
import type { Looks } from '../terminal/output.ts';
import { sparkline } from '../terminal/sparkline.ts';
import { bar, bytesText, countText, printable, secondsText, shortened, widthOf } from '../terminal/text.ts';

const labelColumns = 13;
const barColumns = 20;
const usualColumns = 100;
const leastNameColumns = 16;
/** Transfers that are drawn; the largest. */
const mostDrawn = 12;

export function statusText(report: DaemonReport, looks: Looks): string[] {
  return [
    ...heading(report, looks),
    '',
    ...outages(report, looks),
    ...transfers(report, looks),
    ...facts(report, looks),
  ];
}

function heading(report: DaemonReport, { paint }: Looks): string[] {
  const { version, host, instance, pid, phase, folder, bucket, prefix } = report;
  const name = instance === 'default' ? host : `${host}, ${instance}`;
  const state = phase === 'stopping' || report.uploads.paused === null ? phase : 'paused';
  const style = { running: 'green', paused: 'yellow', starting: 'cyan', stopping: 'yellow' } as const;
  return [
    `${paint('bold', 'dropledger')} ${version} on ${printable(name)}  ${paint(style[state], `● ${state}`)}  ${paint(
      'dim',
      `pid ${pid}, for ${secondsText(since(report, report.startedAt))}`,
    )}`,
    `${printable(folder)} → s3://${bucket}/${printable(prefix)}`,
  ];
}

/** What is out of order, with what to do about it. */
function outages(report: DaemonReport, looks: Looks): string[] {
  const { uploads, ledger, quarantine } = report;
  const lines = uploads.paused === null ? [] : pausedLines(report, uploads.paused, looks);
  if (!ledger.up) {
    const started = ledger.downSince === null ? '' : ` for ${secondsText(since(report, ledger.downSince))}`;
    lines.push(looks.paint('yellow', `! The ledger is down${started}: ${printable(ledger.reason ?? '')}`));
    lines.push(`  ${countText(ledger.rowsWaiting)} rows wait; uploads go on`);
    if (ledger.hint !== null) lines.push(`  → ${printable(ledger.hint)}`);
  }
  if (ledger.rowsSetAside > 0) {
    lines.push(looks.paint('red', `✗ ${countText(ledger.rowsSetAside)} rows are set aside: the ledger refuses them`));
    lines.push('  → journalctl -u dropledger -p err tells which, and why');
  }
  if ((quarantine.files ?? 0) > 0) {
    const count = `${countText(quarantine.files ?? 0)}${quarantine.more ? ' or more' : ''}`;
    lines.push(looks.paint('red', `✗ ${count} in quarantine`));
    lines.push('  → each has a .reason.json beside it; once mended: dropledger retry FILE, or --all');
  }
  return lines.length === 0 ? [] : [...lines, ''];
}

function pausedLines(
  report: DaemonReport,
  { since: from, reason, hint, attempts, nextTryAt }: PauseReport,
  looks: Looks,
) {
  const next = Math.max(0, (Date.parse(nextTryAt) - Date.parse(report.at)) / 1000);
  const lines = [
    looks.paint('yellow', `! Uploads are paused for ${secondsText(since(report, from))}: ${printable(reason)}`),
  ];
  if (hint !== null) lines.push(`  → ${printable(hint)}`);
  lines.push(`  asked ${countText(attempts)} times, next in ${secondsText(next)}`);
  return lines;
}

function transfers({ uploads }: DaemonReport, looks: Looks): string[] {
  const { underWay, count } = uploads;
  if (count === 0) return [];
  const drawn = underWay.slice(0, mostDrawn);
  const figures = drawn.map(figuresOf);
  const figuresColumns = Math.max(...figures.map(widthOf));
  const room = Math.max(leastNameColumns, (looks.columns ?? usualColumns) - barColumns - 10 - figuresColumns);
  const nameColumns = Math.min(room, Math.max(...drawn.map(({ path }) => widthOf(printable(path)))));
  const more = count - drawn.length;
  return [
    ...drawn.map((transfer, index) => {
      const name = shortened(printable(transfer.path), nameColumns);
      const space = ' '.repeat(nameColumns - widthOf(name));
      return `${progress(transfer, looks)}  ${name}${space}  ${figures[index]}${repeated(transfer, looks)}`;
    }),
    ...(more > 0 ? [looks.paint('dim', `and ${countText(more)} more`)] : []),
    '',
  ];
}

function progress({ size, bytesStored }: TransferReport, { paint }: Looks): string {
  const share = size === 0 ? 0 : bytesStored / size;
  return `${paint('cyan', bar(share, barColumns).padEnd(barColumns, '·'))} ${`${Math.floor(share * 100)} %`.padStart(5)}`;
}

/** Small files have no speed: they are there, or they are not. */
function figuresOf({ size, bytesStored, bytesPerSecond }: TransferReport): string {
  if (bytesStored === 0) return bytesText(size);
  if (bytesStored === size) return `${bytesText(size)}, in S3`;
  const speed =
    bytesPerSecond === 0
      ? ''
      : `  ${bytesText(bytesPerSecond)}/s, ${secondsText((size - bytesStored) / bytesPerSecond)} left`;
  return `${bytesText(bytesStored)} of ${bytesText(size)}${speed}`;
}

const repeated = ({ failedAttempts }: TransferReport, { paint }: Looks): string =>
  failedAttempts > 0 ? paint('yellow', `  attempt ${failedAttempts + 1}`) : '';

function facts(report: DaemonReport, looks: Looks): string[] {
  const rows: [label: string, text: string][] = [
    ['Throughput', throughput(report, looks)],
    ['Queue', queue(report)],
    ['Oldest', oldest(report)],
    ['Rescan', rescan(report)],
    ['Ledger', ledger(report, looks)],
    ['Credentials', credentials(report, looks)],
    ['Since start', totals(report)],
  ];
  return rows.map(([label, text]) => `${looks.paint('dim', label.padEnd(labelColumns))}${text}`);
}

/** The second under way is left out: it would always look like a break. */
function throughput({ throughput: { bytes, files } }: DaemonReport, { columns = usualColumns, paint }: Looks): string {
  const [doneBytes, doneFiles] = [bytes.slice(0, -1), files.slice(0, -1)];
  const lately = (values: readonly number[]) => values.slice(-5).reduce((sum, value) => sum + value, 0) / 5;
  const speed = `${bytesText(lately(doneBytes))}/s, ${countText(lately(doneFiles))} files/s`;
  const room = Math.max(10, columns - labelColumns - speed.length - 2);
  return `${paint('cyan', sparkline(doneBytes.slice(-room)))}  ${speed}`;
}

function queue({ queue: { settling, queued, uploading, stored, recorded, kept, notMovable } }: DaemonReport): string {
  const parts: [number, string][] = [
    [settling, 'coming to rest'],
    [queued, 'queued'],
    [uploading, 'uploading'],
    [stored, 'waiting for the ledger'],
    [recorded, 'to be moved'],
    [kept, 'kept'],
    [notMovable, 'not movable'],
  ];
  const present = parts.filter(([count]) => count > 0).map(([count, text]) => `${countText(count)} ${text}`);
  return present.length === 0 ? 'empty' : present.join(' · ');
}

const oldest = (report: DaemonReport): string =>
  report.oldestUnrecordedAt === null
    ? 'no file waits for its row'
    : `a file has waited ${secondsText(since(report, report.oldestUnrecordedAt))} for its row`;

function rescan(report: DaemonReport): string {
  if (report.rescan === null) return 'the first scan is under way';
  const { at, ms, files, folders, ignored, special, unreadable, foundByRescan } = report.rescan;
  const besides: [number, string][] = [
    [ignored, 'ignored'],
    [special, 'not regular files'],
    [unreadable, 'folders that cannot be read'],
    [foundByRescan, 'found that no event told of'],
  ];
  const more = besides.filter(([count]) => count > 0).map(([count, text]) => `, ${countText(count)} ${text}`);
  const took = `${secondsText(since(report, at))} ago, in ${secondsText(ms / 1000)}`;
  return `${took}: ${countText(files)} files in ${countText(folders)} folders${more.join('')}`;
}

function ledger(report: DaemonReport, { paint }: Looks): string {
  const { up, lastRecordedAt, recorded, rowsWaiting } = report.ledger;
  const last = lastRecordedAt === null ? '' : `, the last ${secondsText(since(report, lastRecordedAt))} ago`;
  const state = up ? paint('green', 'ok') : paint('yellow', 'down');
  const waiting = rowsWaiting > 0 ? `, ${countText(rowsWaiting)} rows wait` : '';
  return `${state} at ${printable(report.ledgerHost)}: ${countText(recorded)} rows recorded${last}${waiting}`;
}

function credentials(report: DaemonReport, { paint }: Looks): string {
  if (report.credentials === null) return 'cannot be read just now';
  const { source, principal, endsAt, endIsEstimate, renewsItself } = report.credentials;
  const who = principal === null ? '' : `, ${principal}`;
  const from = `${printable(source)}${printable(who)}`;
  if (endsAt === null) return renewsItself ? `${from}; they renew themselves` : from;
  const left = -since(report, endsAt);
  const soon = left < 7200;
  const end = left <= 0 ? 'ended' : `end in ${secondsText(left)}${endIsEstimate ? ' (an estimate)' : ''}`;
  return `${from}; ${soon ? paint('yellow', end) : end}`;
}

function totals({ totals: { uploaded, bytes, duplicates, quarantined, gone, retries } }: DaemonReport): string {
  const besides: [number, string][] = [
    [duplicates, 'duplicates'],
    [quarantined, 'quarantined'],
    [gone, 'gone before their upload'],
    [retries, 'attempts repeated'],
  ];
  const more = besides.filter(([count]) => count > 0).map(([count, text]) => ` · ${countText(count)} ${text}`);
  return `${countText(uploaded)} uploaded (${bytesText(bytes)})${more.join('')}`;
}

/** Seconds from then to when the report was made. */
const since = ({ at }: DaemonReport, then: string): number =>
  Math.max(-1e9, (Date.parse(at) - Date.parse(then)) / 1000);
