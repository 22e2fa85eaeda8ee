import { readFileSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { guideFiles, readGuide } from '../support/guides.ts';
import { sampleRow } from '../support/ledger-rows.ts';
import { type LedgerLogin, type TestDatabase, usePostgres } from '../support/postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

/** The SQL of the guides, as whoever follows them would run it: logged in as the ledger's reader. */

const postgres = usePostgres();
const guides = guideFiles
  .map(readGuide)
  .map(({ file, blocks }) => ({ file, sql: blocks.filter(({ language }) => language === 'sql') }))
  .filter(({ sql }) => sql.length > 0);

test('guides with SQL are in both languages', () => expect(guides).toHaveLength(6));

describe.each(guides)('$file', ({ sql }) => {
  test('each question has an answer, and what is to be refused is refused', async () => {
    await using database = await ledgerWithHistory();
    await using reader = await connect(database.reader);
    for (const { text } of sql) {
      const asked = reader.query(text);
      if (text.startsWith('-- refused')) await expect(asked, text).rejects.toThrow(/permission denied/);
      else await expect(asked, text).resolves.toBeDefined();
    }
  });
});

test.each(guideFiles.filter((file) => /aws/.test(file)))(
  '%s: what is only in the trail, or only in the ledger, is found',
  async (file) => {
    await using database = await ledgerWithHistory();
    await using reader = await connect(database.reader);
    const [block] = readGuide(file).blocks.filter(({ language }) => language === 'sql');
    const [create = '', question = ''] = (block?.text ?? '').split(/-- \\copy .*\n/);
    await reader.query(create);
    await reader.query(
      "INSERT INTO trail VALUES ('REQUEST-1', 'in/a', now(), 'us'), ('FOREIGN', 'in/foreign', now(), 'them'), ('LATE', 'in/c', now(), 'us')",
    );
    const { rows } = await reader.query(question);
    expect(rows.map(({ object_key }) => object_key)).toEqual(['in/foreign', 'in/b']);
  },
);

/** A file in the trail, one that is not, one whose answer was lost, a duplicate and a failure. */
async function ledgerWithHistory(): Promise<TestDatabase> {
  const database = await postgres.createDatabase();
  const at = {
    detected_at: '2026-11-21T09:59:58Z',
    started_at: '2026-11-21T10:00:00Z',
    uploaded_at: '2026-11-21T10:00:01Z',
  };
  const first = sampleRow({ ...at, path: 'a', object_key: 'in/a', s3_request_id: 'REQUEST-1' });
  await using pool = createLedgerPool({ ...database.writer, log: recordingLog() });
  await createLedger(pool).record(
    [
      first,
      sampleRow({ ...at, path: 'b', object_key: 'in/b', s3_request_id: 'REQUEST-2', seq: 2 }),
      sampleRow({ ...at, path: 'c', object_key: 'in/c', s3_request_id: null, etag: null, seq: 3 }),
      sampleRow({ ...at, status: 'duplicate', duplicate_of: first.id, path: 'a', seq: 4 }),
      sampleRow({ status: 'failed', error: 'the name is not valid UTF-8', object_key: null, sha256: null, seq: 5 }),
    ].map((row) => JSON.stringify(row)),
  );
  return database;
}

async function connect({
  host,
  port,
  database,
  user,
  passwordFile,
}: LedgerLogin): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ host, port, database, user, password: readFileSync(String(passwordFile), 'utf8') });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}
