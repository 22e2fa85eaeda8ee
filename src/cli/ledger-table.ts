import type { RecordedRow } from '../ledger/reader.ts';
import { type Looks, plain, type Style } from './terminal/output.ts';
import { bytesText, timeText } from './terminal/text.ts';
import { type Column, textTable } from './terminal/text-table.ts';

/** `show` takes the beginning of an id; so much of one names a millisecond, and hardly ever two rows. */
const idColumns = 18;

export const statusStyle = { uploaded: 'green', duplicate: 'cyan', failed: 'red' } as const satisfies Record<
  RecordedRow['status'],
  Style
>;

/** Rows of the ledger as an aligned table. On a terminal it is cut to fit, elsewhere everything is whole. */
export function ledgerTable(rows: readonly RecordedRow[], looks: Looks = plain): string {
  const onTerminal = looks.columns !== undefined;
  const columns: Column<RecordedRow>[] = [
    { title: 'recorded', cell: (row) => timeText(row.recorded_at), style: () => 'dim' },
    { title: 'status', cell: (row) => row.status, style: (row) => statusStyle[row.status] },
    { title: 'size', cell: (row) => bytesText(row.size_bytes), alignRight: true },
    { title: 'sha256', cell: (row) => (row.sha256 === null ? '–' : `${row.sha256.slice(0, 12)}…`), style: () => 'dim' },
    { title: 'path', cell: (row) => row.path, shrinks: true },
    { title: 'id', cell: (row) => (onTerminal ? row.id.slice(0, idColumns) : row.id), style: () => 'dim' },
  ];
  if (new Set(rows.map(({ host }) => host)).size > 1)
    columns.splice(4, 0, { title: 'host', cell: ({ host }) => host, shrinks: true });
  if (rows.some(({ error }) => error !== null))
    columns.push({ title: 'error', cell: ({ error }) => error ?? '', shrinks: true, style: () => 'red' });
  return textTable(columns, rows, looks);
}
