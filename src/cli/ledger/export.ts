import { columnNames } from '../../ledger/columns.ts';
import type { RecordedRow } from '../../ledger/reader.ts';
import { exitCode, UsageError } from '../../service/errors.ts';
import { type Command, textOf } from '../command.ts';
import { writing } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { countOf, filterOptions, readFilter } from './filter-options.ts';
import { openReader, readerOptions } from './reader-login.ts';

const formats = ['csv', 'jsonl'];

export const exportRows: Command = {
  details: `Writes to stdout, in the order of recording, from one snapshot: what is recorded meanwhile is not in it. CSV is RFC 4180
with a head line; a null is an empty field, an empty text is "". Values are never changed: a spreadsheet may take a path
that begins with = for a formula.`,
  options: {
    format: { value: 'FORMAT', describe: 'csv or jsonl (a JSON object a line)', default: 'jsonl' },
    ...filterOptions,
    limit: { value: 'COUNT', describe: 'how many rows at most' },
    ...readerOptions,
  },

  async run(given, around) {
    const format = textOf(given, 'format') ?? '';
    if (!formats.includes(format)) throw new UsageError(`--format takes ${formats.join(' or ')}, not ${format}`);
    const filter = readFilter(given);
    const limit = countOf(given, 'limit');
    await using login = await openReader(given, around);
    const { reader } = login;
    const estimate = around.stderr.isTTY ? await reader.estimate(filter) : 0;
    using progress = showProgress(around, 'rows', Math.min(estimate, limit ?? Number.POSITIVE_INFINITY));
    return await writing(around, async (write) => {
      if (format === 'csv') await write(csvLine(exported));
      const lineOf = format === 'csv' ? csvRow : (row: RecordedRow) => `${JSON.stringify(row)}\n`;
      await reader.each(
        filter,
        async (rows) => {
          await write(rows.map(lineOf).join(''));
          progress.advance(rows.length);
        },
        { limit },
      );
      return exitCode.fine;
    });
  },
};

const exported = [...columnNames, 'recorded_at'] as const;

const csvRow = (row: RecordedRow): string => csvLine(exported.map((name) => row[name]));

const csvLine = (values: readonly (string | number | null)[]): string => `${values.map(csvField).join(',')}\r\n`;

function csvField(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
