import type { RecordedRow } from '../../ledger/reader.ts';
import { rowHash } from '../../ledger/row-hash.ts';
import { exitCode, LocalFailure, UsageError } from '../../service/errors.ts';
import type { Command } from '../command.ts';
import { ledgerTable, statusStyle } from '../ledger-table.ts';
import { type Looks, looksOf, type Style, writing } from '../terminal/output.ts';
import { bytesText, countText, printable, secondsText, timeText } from '../terminal/text.ts';
import { openReader, type ReaderLogin, readerOptions } from './reader-login.ts';

export const show: Command = {
  details: `ID is that of the row, or its beginning. Tells every column, whether the row's hash is that of its content, and what else
was recorded of the same path.`,
  operands: { usage: 'ID', least: 1, most: 1 },
  options: { ...readerOptions, json: { describe: 'print it as one JSON object' } },

  async run(given, around, [id = '']) {
    await using login = await openReader(given, around);
    const row = await findRow(login, id);
    const others = await login.reader.others(row);
    const intact = isIntact(row);
    const looks = looksOf(around.stdout, around.env);
    return await writing(around, async (write) => {
      if (given['json'] === true) await write(`${JSON.stringify({ row, rowHashMatches: intact, others })}\n`);
      else await write(`${describe(row, intact, looks)}${describeOthers(others, looks)}`);
      return intact ? exitCode.fine : exitCode.failed;
    });
  },
};

/** The one row whose id begins so. @throws UsageError where it is no id, LocalFailure where it is none or several. */
export async function findRow({ reader }: Pick<ReaderLogin, 'reader'>, id: string): Promise<RecordedRow> {
  const digits = id.toLowerCase();
  if (!/^[0-9a-f][0-9a-f-]{0,35}$/.test(digits) || digits.replaceAll('-', '').length > 32)
    throw new UsageError(`${JSON.stringify(id)} is not the id of a row`, {
      hint: 'dropledger ledger list shows them.',
    });
  const [row, ...more] = await reader.find(digits);
  if (row === undefined) throw new LocalFailure(`the ledger has no row ${id}`);
  if (more.length > 0)
    throw new LocalFailure(
      `several rows begin with ${id}:\n${[row, ...more].map((one) => `  ${one.id}  ${one.path}`).join('\n')}`,
    );
  return row;
}

function isIntact({ recorded_at, row_hash, ...row }: RecordedRow): boolean {
  return rowHash(row) === row_hash;
}

function describe(row: RecordedRow, intact: boolean, { paint }: Looks): string {
  const lines: [string, string | null, Style?][] = [
    ['status', row.status, statusStyle[row.status]],
    ['error', row.error, 'red'],
    ['path', row.path, 'bold'],
    ['size', `${countText(row.size_bytes)} bytes (${bytesText(row.size_bytes)})`],
    ['sha256', row.sha256],
    ['object', row.object_key === null ? null : `s3://${row.bucket}/${row.object_key}`],
    ['version', row.version_id],
    ['content type', row.content_type],
    ['ETag', row.etag],
    ['verified by S3', row.checksum === null ? null : `${row.checksum_type} ${row.checksum}`],
    ['S3 request', row.s3_request_id],
    ['parts', row.part_count === null ? null : String(row.part_count)],
    ['duplicate of', row.duplicate_of],
    ['attempts', String(row.attempts)],
    ['modified', timeText(row.modified_at)],
    ['detected', timeText(row.detected_at)],
    ['started', row.started_at === null ? null : timeText(row.started_at)],
    ['uploaded', uploadedText(row)],
    ['recorded', timeText(row.recorded_at)],
    ['owner', row.file_owner],
    ['host', row.instance === 'default' ? row.host : `${row.host}, instance ${row.instance}`],
    ['principal', row.principal],
    ['dropledger', row.daemon_version],
    ['id', row.id],
    ['file id', row.file_id],
    ['chain', `${row.chain}, row ${countText(row.seq)}`],
    ['previous hash', row.previous_hash],
    ['row hash', row.row_hash],
    intact
      ? ['', '✓ the hash is that of the row’s content', 'green']
      : ['', '✗ ALTERED: the row’s content does not give this hash', 'red'],
  ];
  const shown = lines.filter((line): line is [string, string, Style?] => line[1] !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  const format = ([name, text, style]: [string, string, Style?]) =>
    `${paint('dim', name.padEnd(width))}  ${style === undefined ? printable(text) : paint(style, printable(text))}`;
  return `${shown.map(format).join('\n')}\n`;
}

function uploadedText({ uploaded_at, started_at, size_bytes }: RecordedRow): string | null {
  if (uploaded_at === null) return null;
  if (started_at === null) return timeText(uploaded_at);
  const seconds = (Date.parse(uploaded_at) - Date.parse(started_at)) / 1000;
  const rate = seconds > 0 ? `, ${bytesText(size_bytes / seconds)}/s` : '';
  return `${timeText(uploaded_at)}, in ${secondsText(seconds)}${rate}`;
}

const describeOthers = (others: readonly RecordedRow[], looks: Looks): string =>
  others.length === 0 ? '' : `\n${looks.paint('bold', 'Of the same path')}\n${ledgerTable(others, looks)}\n`;
