import { type Looks, plain, type Style } from './output.ts';
import { printable, shortened, widthOf } from './text.ts';

export interface Column<Row> {
  readonly title: string;
  cell(row: Row): string;
  readonly alignRight?: true;
  /** Shortened where the terminal is too narrow. */
  readonly shrinks?: true;
  style?(row: Row): Style | undefined;
}

const gap = '  ';
const narrowest = 12;

/** An aligned table, with a line below the titles; no line break at its end. */
export function textTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], looks: Looks = plain): string {
  const cells = rows.map((row) => columns.map(({ cell }) => printable(cell(row))));
  const widths = columns.map(({ title }, index) =>
    Math.max(widthOf(title), ...cells.map((line) => widthOf(line[index] ?? ''))),
  );
  shrink(widths, columns, looks.columns);
  const format = (texts: readonly string[], styles: readonly (Style | undefined)[]) =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        const shown = shortened(text, width);
        const space = ' '.repeat(width - widthOf(shown));
        const style = styles[index];
        const painted = style === undefined ? shown : looks.paint(style, shown);
        return columns[index]?.alignRight ? space + painted : painted + space;
      })
      .join(gap)
      .trimEnd();
  const titles = format(
    columns.map(({ title }) => title),
    columns.map(() => 'bold'),
  );
  const line = looks.paint('dim', widths.map((width) => '─'.repeat(width)).join(gap));
  const body = cells.map((line, index) =>
    format(
      line,
      columns.map(({ style }) => style?.(rows[index] as Row)),
    ),
  );
  return [titles, line, ...body].join('\n');
}

/** Takes from the columns that may shrink, the widest first, until all of it fits. */
function shrink<Row>(widths: number[], columns: readonly Column<Row>[], available: number | undefined): void {
  if (available === undefined) return;
  const total = () => widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1));
  const able = () =>
    widths
      .map((width, index) => ({ width, index }))
      .filter(({ width, index }) => columns[index]?.shrinks && width > narrowest)
      .sort((a, b) => b.width - a.width)[0];
  for (let widest = able(); total() > available && widest !== undefined; widest = able()) {
    widths[widest.index] =
      Math.max(narrowest, Math.min(widest.width - 1, widest.width - (total() - available) / 2)) | 0;
  }
}
