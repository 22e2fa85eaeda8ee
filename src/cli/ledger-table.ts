import { stripVTControlCharacters } from 'node:util';
import type { RecordedRow } from '../ledger/ledger.ts';

const columns: readonly { readonly title: string; cell(row: RecordedRow): string; readonly alignRight?: true }[] = [
  { title: 'recorded', cell: (row) => new Date(row.recorded_at).toTimeString().slice(0, 8) },
  { title: 'status', cell: (row) => row.status },
  { title: 'bytes', cell: (row) => row.size_bytes.toLocaleString('en'), alignRight: true },
  { title: 'parts', cell: (row) => String(row.part_count ?? '–'), alignRight: true },
  { title: 'sha256', cell: (row) => (row.sha256 === null ? '–' : `${row.sha256.slice(0, 12)}…`) },
  { title: 'path', cell: (row) => shortened(row.path) },
  { title: 'error', cell: (row) => row.error ?? '' },
];

/** Rows of the ledger as an aligned table for a terminal. */
export function ledgerTable(rows: readonly RecordedRow[]): string {
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => printable(cell(row)))),
  ];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => widthOf(line[index] ?? ''))));
  const format = (line: readonly string[]) =>
    line
      .map((text, index) => {
        const space = ' '.repeat((widths[index] ?? 0) - widthOf(text));
        return columns[index]?.alignRight ? space + text : text + space;
      })
      .join('  ')
      .trimEnd();
  const [head = [], ...body] = lines;
  return [format(head), widths.map((width) => '─'.repeat(width)).join('  '), ...body.map(format)].join('\n');
}

const longestPath = 44;

/** The end of a path tells more than its beginning. */
const shortened = (path: string): string => {
  const characters = [...path];
  return characters.length <= longestPath ? path : `…${characters.slice(-longestPath + 1).join('')}`;
};

/** A file name cannot draw on the terminal. */
const printable = (text: string): string => stripVTControlCharacters(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '·');

/** Columns that a text takes on a terminal: two for emoji and for wide East Asian letters. */
const widthOf = (text: string): number =>
  [...text].reduce(
    (width, character) =>
      width +
      (/\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uff00-\uff60]/u.test(character) ? 2 : 1),
    0,
  );
