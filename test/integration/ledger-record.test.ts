import { expect, test } from 'vitest';
import { columnNames, columns } from '../../src/ledger/columns.ts';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { createLedgerReader } from '../../src/ledger/reader.ts';
import { rowHash } from '../../src/ledger/row-hash.ts';
import type { LedgerRow } from '../../src/model.ts';
import { sampleRow } from '../support/ledger-rows.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

const postgres = usePostgres();
const log = recordingLog();

const serialised = (...rows: LedgerRow[]) => rows.map((row) => JSON.stringify(row));

async function recordInto(database: TestDatabase, ...rows: LedgerRow[]): Promise<void> {
  await using pool = createLedgerPool({ ...database.writer, log });
  await createLedger(pool).record(serialised(...rows));
}

async function listFrom(database: TestDatabase, limit = 100) {
  await using pool = createLedgerPool({ ...database.reader, log });
  return await createLedgerReader(pool).list({}, limit);
}

/** Every kind of text that a file name or an error can bring. */
const peculiarRows = (): LedgerRow[] => [
  sampleRow(),
  sampleRow({ path: `it's "quoted" \\\\ and {braced}, [1] $1 %s` }),
  sampleRow({ path: 'line\nbreak\ttab\u0001\u007f' }),
  sampleRow({ path: 'émoji 🗂️ NFC é NFD e\u0301 \\xFF' }),
  sampleRow({ path: `${'long/'.repeat(800)}x` }),
  sampleRow({ size_bytes: 2 ** 53 - 1, seq: 2 ** 53 - 1, part_count: 10_000 }),
  sampleRow({ size_bytes: 0, modified_at: '1969-12-31T23:59:59.999Z', detected_at: '9999-12-31T23:59:59.999Z' }),
  sampleRow({
    ...{ status: 'failed', error: 'key is longer than 1,024 bytes', sha256: null, object_key: null, etag: null },
    ...{ content_type: null, part_count: null, started_at: null, uploaded_at: null, principal: null },
  }),
  sampleRow({ modified_at: '0001-01-01T00:00:00.000Z' }),
  sampleRow({ file_owner: '', previous_hash: 'ab'.repeat(32), instance: '' }),
];

test('rows come back as they were sent, newest last', async () => {
  await using database = await postgres.createDatabase();
  const rows = peculiarRows();
  await recordInto(database, ...rows);
  const listed = await listFrom(database);
  expect(listed.map(({ recorded_at, ...row }) => row)).toEqual(rows);
  expect(Date.parse(listed[0]?.recorded_at ?? '')).toBeGreaterThan(Date.now() - 60_000);
  expect((await listFrom(database, 2)).map(({ id }) => id)).toEqual(rows.slice(-2).map(({ id }) => id));
});

test('what is sent again is recorded once', async () => {
  await using database = await postgres.createDatabase();
  const [first, second, third] = [sampleRow(), sampleRow(), sampleRow()];
  await recordInto(database, first, second);
  await recordInto(database, second, third, third);
  expect((await listFrom(database)).map(({ id }) => id)).toEqual([first.id, second.id, third.id]);
});

test('a batch with one bad row records none of it', async () => {
  await using database = await postgres.createDatabase();
  for (const bad of [
    { sha256: 'not hex' },
    { status: 'lost' as 'failed' },
    { path: 'nul\u0000' },
    { id: 'not a uuid' },
    { size_bytes: -1 },
    { daemon_version: null as unknown as string },
  ])
    await expect(recordInto(database, sampleRow(), sampleRow(bad)), JSON.stringify(bad)).rejects.toMatchObject({
      name: 'RowRefused',
    });
  expect(await listFrom(database)).toEqual([]);
});

test('the hash of a row can be computed anew from what is in the database', async () => {
  await using database = await postgres.createDatabase();
  await recordInto(database, ...peculiarRows());
  for (const { recorded_at, row_hash, ...row } of await listFrom(database)) expect(rowHash(row)).toBe(row_hash);
});

test('and so by anyone in SQL; an altered row shows', async () => {
  await using database = await postgres.createDatabase();
  const rows = peculiarRows();
  await recordInto(database, ...rows);
  const asText = (name: keyof LedgerRow) =>
    columns[name] === 'timestamptz'
      ? `to_char(${name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
      : `${name}::text`;
  const hash = `encode(sha256(convert_to(concat('dropledger-row-1', ${columnNames
    .filter((name) => name !== 'row_hash')
    .map(asText)
    .map((text) => `coalesce(octet_length(${text}) || ':' || ${text}, '-')`)
    .join(', ')}), 'UTF8')), 'hex')`;
  const altered = async () =>
    (await database.query(`SELECT id FROM dropledger.uploads WHERE row_hash <> ${hash}`)).rows.map(({ id }) => id);
  expect(await altered()).toEqual([]);

  await database.query(`ALTER TABLE dropledger.uploads DISABLE TRIGGER append_only`);
  await database.query(`UPDATE dropledger.uploads SET size_bytes = size_bytes + 1 WHERE id = $1`, [rows[1]?.id]);
  expect(await altered()).toEqual([rows[1]?.id]);
});

test('a commit waits for the disk, whatever the server is set to', async () => {
  await using database = await postgres.createDatabase();
  expect((await database.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'off' }]);
  await using pool = createLedgerPool({ ...database.writer, log });
  expect((await pool.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }]);
});
