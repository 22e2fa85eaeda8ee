import { expect, test } from 'vitest';
import { createLedger } from '../../src/ledger/ledger.ts';
import { migrate } from '../../src/ledger/migrate.ts';
import { createOutbox } from '../../src/ledger/outbox.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { type RowsInMemory, rowsInMemory, sampleRow } from '../support/ledger-rows.ts';
import { type LedgerLogin, type TestDatabase, usePostgres } from '../support/postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

const postgres = usePostgres();

/** Pool, ledger and outbox as the daemon has them. */
function openOutbox(login: LedgerLogin, store: RowsInMemory) {
  const log = recordingLog();
  const stack = new AsyncDisposableStack();
  const pool = stack.use(createLedgerPool({ ...login, log }));
  const outbox = stack.use(
    createOutbox({
      store,
      countWaiting: () => store.waiting.length,
      ledger: createLedger(pool),
      log,
      delayMs: () => 20,
    }),
  );
  return { log, pool, outbox, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const rowsOf = (count: number) => Array.from({ length: count }, (_, index) => sampleRow({ seq: index + 1 }));
const inTime = () => AbortSignal.timeout(20_000);

async function sequenceIn(database: TestDatabase): Promise<number[]> {
  const { rows } = await database.query('SELECT seq FROM dropledger.uploads ORDER BY recorded_at, id');
  return rows.map(({ seq }) => Number(seq));
}

test('rows wait while Postgres is down, and are recorded once it is back', async () => {
  await using database = await postgres.createDatabase();
  const store = rowsInMemory(...rowsOf(3));
  await using parts = openOutbox(database.writer, store);
  const { log, outbox } = parts;
  expect(await outbox.drained(inTime())).toBe(true);

  await postgres.stop('immediate');
  store.add(sampleRow({ seq: 4 }), sampleRow({ seq: 5 }));
  outbox.wake();
  expect(await log.first('ledger-down')).toMatchObject({ level: 'warning', fields: { rows_waiting: 2 } });
  expect(outbox.state()).toMatchObject({ up: false, waiting: 2, hint: expect.stringContaining('Postgres runs') });

  await postgres.start();
  expect(await outbox.drained(inTime())).toBe(true);
  expect(log.named('ledger-down')).toHaveLength(1);
  expect(log.named('ledger-up')).toMatchObject([{ fields: { rows_waiting: 2 } }]);
  expect(outbox.state()).toMatchObject({ up: true, recorded: 5 });
  expect(await sequenceIn(database)).toEqual([1, 2, 3, 4, 5]);
});

test('a server that crashes at any moment costs nothing and doubles nothing', async () => {
  await using database = await postgres.createDatabase();
  const rows = rowsOf(5000);
  const store = rowsInMemory(...rows);
  await using parts = openOutbox(database.writer, store);
  for (let crash = 0; crash < 5; crash += 1) {
    const before = parts.outbox.state().recorded;
    while (parts.outbox.state().recorded === before && store.waiting.length > 0) await new Promise(setImmediate);
    await postgres.stop('immediate');
    await postgres.start();
  }
  expect(await parts.outbox.drained(inTime())).toBe(true);
  const { rows: recorded } = await database.query(
    'SELECT count(*)::int, count(DISTINCT seq)::int FROM dropledger.uploads',
  );
  expect(recorded).toEqual([{ count: 5000 }]);
});

test('connections that an administrator ends are replaced in silence', async () => {
  await using database = await postgres.createDatabase();
  const store = rowsInMemory(...rowsOf(1));
  await using parts = openOutbox(database.writer, store);
  await parts.outbox.drained(inTime());
  await database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dropledger'`);
  await parts.log.first('debug' as 'warning');
  store.add(sampleRow());
  parts.outbox.wake();
  expect(await parts.outbox.drained(inTime())).toBe(true);
  expect(parts.log.named('ledger-down')).toEqual([]);
});

test('one bad row among a thousand is set aside, the others are recorded in order', async () => {
  await using database = await postgres.createDatabase();
  const rows = rowsOf(1000);
  rows[617] = sampleRow({ seq: 618, path: 'odd.bin', sha256: 'BAD' });
  const store = rowsInMemory(...rows);
  await using parts = openOutbox(database.writer, store);
  expect(await parts.outbox.drained(inTime())).toBe(true);
  expect(await sequenceIn(database)).toEqual(rows.filter((_, index) => index !== 617).map(({ seq }) => seq));
  expect([...store.asideReasons.keys()]).toEqual([rows[617]?.id]);
  expect(parts.log.named('set-aside')).toMatchObject([
    { level: 'error', fields: { ledger_id: rows[617]?.id, path: 'odd.bin', error: expect.stringContaining('sha256') } },
  ]);
  expect(parts.log.named('ledger-down')).toEqual([]);
});

test('without a schema the rows wait, and what to run is said once', async () => {
  await using database = await postgres.createDatabase({ migrated: false });
  const store = rowsInMemory(...rowsOf(2));
  await using parts = openOutbox(database.admin, store);
  const down = await parts.log.first('ledger-down');
  expect(down).toMatchObject({ level: 'error', fields: { hint: expect.stringContaining('dropledger migrate') } });
  await migrate({ ...database.admin, log: parts.log });
  expect(await parts.outbox.drained(inTime())).toBe(true);
  expect(parts.log.named('ledger-down')).toHaveLength(1);
  expect(await sequenceIn(database)).toEqual([1, 2]);
});

test('a database that turned read-only is left, and found again when it can be written to', async () => {
  await using database = await postgres.createDatabase();
  const store = rowsInMemory(...rowsOf(1));
  await using parts = openOutbox(database.writer, store);
  await parts.outbox.drained(inTime());
  await database.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`);
  parts.pool.dropConnections();
  store.add(sampleRow({ seq: 2 }));
  parts.outbox.wake();
  expect(await parts.log.first('ledger-down')).toMatchObject({
    level: 'warning',
    fields: { error: expect.stringContaining('read-only'), hint: expect.stringContaining('failover') },
  });

  await using elsewhere = await postgres.createDatabase();
  await elsewhere.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = off`);
  expect(await parts.outbox.drained(inTime())).toBe(true);
  expect(await sequenceIn(database)).toEqual([1, 2]);
});

test('a stop breaks off a statement that hangs, and the row is sent by the next one', async () => {
  await using database = await postgres.createDatabase();
  const store = rowsInMemory(...rowsOf(1));
  await using locker = createLedgerPool({ ...database.superuser, log: recordingLog() });
  await locker.withClient(async (client) => {
    await client.query('BEGIN; LOCK TABLE dropledger.uploads IN ACCESS EXCLUSIVE MODE');
    {
      await using parts = openOutbox(database.writer, store);
      expect(await parts.outbox.drained(AbortSignal.timeout(100))).toBe(false);
    }
    await client.query('ROLLBACK');
  });
  expect(store.waiting).toHaveLength(1);
  await using parts = openOutbox(database.writer, store);
  expect(await parts.outbox.drained(inTime())).toBe(true);
  expect(await sequenceIn(database)).toEqual([1]);
});
