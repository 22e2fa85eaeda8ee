import { expect, test } from 'vitest';
import { countOf, readFilter } from '../../../src/cli/ledger/filter-options.ts';
import { createKeySet } from '../../../src/cli/ledger/key-set.ts';
import { plain } from '../../../src/cli/terminal/output.ts';
import {
  bar,
  bytesText,
  printable,
  secondsText,
  shortened,
  timeText,
  widthOf,
} from '../../../src/cli/terminal/text.ts';
import { textTable } from '../../../src/cli/terminal/text-table.ts';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1_048_575, '1.0 MiB'],
  [5 * 2 ** 40, '5.0 TiB'],
])('%d bytes are written %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [0.0854, '85 ms'],
  [0.9996, '1.0 s'],
  [3.24, '3.2 s'],
  [240, '4 min'],
  [9000, '2.5 h'],
  [300_000, '3.5 d'],
])('%d seconds are written %s', (seconds, text) => {
  expect(secondsText(seconds)).toBe(text);
});

test('a time is written in UTC', () => {
  expect(timeText('2026-03-31T16:00:03.120Z')).toBe('2026-03-31 16:00:03Z');
});

test('a text is cut from its beginning, by what it takes on a terminal', () => {
  expect(shortened('invoices/march.pdf', 10)).toBe('…march.pdf');
  expect(shortened('a/文書文書.pdf', 9)).toBe('…文書.pdf');
  expect(widthOf('e\u0301')).toBe(1);
  expect(printable('\u001b[31mred\u202e\n')).toBe('red··');
});

test('a bar has steps of an eighth, and shows what is nearly nothing', () => {
  expect(bar(1, 4)).toBe('████');
  expect(bar(0.5, 1)).toBe('▌');
  expect(bar(0.000_001, 10)).toBe('▏');
  expect(bar(0, 10)).toBe('');
});

test('a table is aligned, and shrinks where it must', () => {
  const columns = [
    { title: 'n', cell: (row: string) => String(row.length), alignRight: true as const },
    { title: 'path', cell: (row: string) => row, shrinks: true as const },
  ];
  const rows = ['short', 'a/very/long/path/to/a/file.pdf'];
  expect(textTable(columns, rows).split('\n')).toEqual([
    ' n  path',
    '──  ──────────────────────────────',
    ' 5  short',
    '30  a/very/long/path/to/a/file.pdf',
  ]);
  expect(
    textTable(columns, rows, { ...plain, columns: 20 })
      .split('\n')
      .at(-1),
  ).toBe('30  …h/to/a/file.pdf');
});

test('times are ages, dates or moments; UTC where no zone is said', () => {
  const now = new Date('2026-04-01T12:00:00Z');
  const since = (text: string) => readFilter({ since: text }, now).since?.toISOString();
  expect(since('90m')).toBe('2026-04-01T10:30:00.000Z');
  expect(since('7d')).toBe('2026-03-25T12:00:00.000Z');
  expect(since('2026-03-31')).toBe('2026-03-31T00:00:00.000Z');
  expect(since('2026-03-31T16:00')).toBe('2026-03-31T16:00:00.000Z');
  expect(since('2026-03-31 16:00:03')).toBe('2026-03-31T16:00:03.000Z');
  expect(since('2026-03-31T16:00+02:00')).toBe('2026-03-31T14:00:00.000Z');
  for (const wrong of ['yesterday', '7', '2026-13-01', '31.3.2026'])
    expect(() => since(wrong)).toThrow('is not a time');
});

test('counts are whole and positive', () => {
  expect(countOf({ limit: '50' }, 'limit')).toBe(50);
  for (const wrong of ['0', '-1', '1.5', 'many'])
    expect(() => countOf({ limit: wrong }, 'limit')).toThrow('whole number');
});

test('a set of keys knows those that were added, and no other', () => {
  const set = createKeySet();
  for (let number = 0; number < 100_000; number += 1) set.add(`key-${number}`);
  let wrong = 0;
  for (let number = 0; number < 100_000; number += 1)
    if (!set.has(`key-${number}`) || set.has(`other-${number}`)) wrong += 1;
  expect(wrong).toBe(0);
});
