import type { DayStats, LedgerStats, Percentiles } from '../../ledger/stats.ts';
import { exitCode } from '../../service/errors.ts';
import { type Command, textOf } from '../command.ts';
import { type Looks, looksOf, writing } from '../terminal/output.ts';
import { bar, bytesText, countText, printable, secondsText, widthOf } from '../terminal/text.ts';
import { filterOptions, readFilter } from './filter-options.ts';
import { openReader, readerOptions } from './reader-login.ts';

const defaultSince = '30d';
const widestBar = 40;

export const stats: Command = {
  details: `Days are UTC, by when a row was recorded. Percentiles are right to within 3 %.`,
  options: {
    ...filterOptions,
    since: { ...filterOptions.since, default: defaultSince },
    ...readerOptions,
    json: { describe: 'print the figures as one JSON object' },
  },

  async run(given, around) {
    const filter = readFilter(given);
    await using login = await openReader(given, around);
    const figures = await login.reader.stats(filter);
    return await writing(around, async (write) => {
      const looks = looksOf(around.stdout, around.env);
      if (given['json'] === true) await write(`${JSON.stringify(figures)}\n`);
      else await write(describe(figures, textOf(given, 'since') ?? defaultSince, looks));
      return exitCode.fine;
    });
  },
};

function describe(figures: LedgerStats, since: string, looks: Looks): string {
  const { uploaded, duplicates, failed, bytes, days, failures } = figures;
  const total = `${countText(uploaded)} files uploaded, ${bytesText(bytes)}; ${countText(duplicates)} duplicates; ${countText(failed)} failures`;
  if (uploaded + duplicates + failed === 0) return `nothing was recorded since ${since}\n`;
  const parts = [
    looks.paint('bold', `Since ${since}: ${total}`),
    section('By day', dayLines(days, looks), looks),
    section('Failures by reason', failureLines(failures, looks), looks),
    section('Percentiles of uploaded files', percentileLines(figures), looks),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

const section = (title: string, lines: readonly string[], { paint }: Looks): string =>
  lines.length === 0 ? '' : [paint('bold', title), ...lines].join('\n');

function dayLines(days: readonly DayStats[], { paint, columns = 100 }: Looks): string[] {
  const most = Math.max(...days.map(({ bytes }) => bytes), 1);
  const texts = days.map(({ day, uploaded, bytes, duplicates, failed }) => ({
    figures: `${day}  ${countText(uploaded).padStart(11)} files  ${bytesText(bytes).padStart(10)}`,
    drawn: bytes / most,
    more: [
      duplicates > 0 ? paint('cyan', `${countText(duplicates)} duplicates`) : '',
      failed > 0 ? paint('red', `${countText(failed)} failed`) : '',
    ].filter((text) => text !== ''),
  }));
  const room = Math.min(widestBar, Math.max(8, columns - 78));
  return texts.map(({ figures, drawn, more }) =>
    `${figures}  ${paint('blue', bar(drawn, room))}${' '.repeat(room - widthOf(bar(drawn, room)))}  ${more.join(', ')}`.trimEnd(),
  );
}

function failureLines(failures: LedgerStats['failures'], { paint }: Looks): string[] {
  const most = Math.max(...failures.map(({ files }) => files), 1);
  return failures.map(({ reason, files }) => {
    const drawn = bar(files / most, 12);
    return `${countText(files).padStart(11)}  ${paint('red', drawn)}${' '.repeat(12 - widthOf(drawn))}  ${printable(reason)}`;
  });
}

function percentileLines({ uploadSeconds, bytesPerSecond, recordingSeconds }: LedgerStats): string[] {
  const line = (name: string, { p50, p90, p99 }: Percentiles, text: (value: number) => string) =>
    p50 === null || p90 === null || p99 === null
      ? []
      : [`${name.padEnd(22)}${[p50, p90, p99].map((value) => text(value).padStart(14)).join('')}`];
  const lines = [
    ...line('upload took', uploadSeconds, secondsText),
    ...line('at', bytesPerSecond, (rate) => `${bytesText(rate)}/s`),
    ...line('then recorded after', recordingSeconds, secondsText),
  ];
  const head = `${' '.repeat(22)}${['median', '90 %', '99 %'].map((title) => title.padStart(14)).join('')}`;
  return lines.length === 0 ? [] : [head, ...lines];
}
