import { expect, test } from 'vitest';
import { RowRefused } from '../../../src/ledger/errors.ts';
import { createOutbox, type OutboxOptions } from '../../../src/ledger/outbox.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../../src/service/errors.ts';
import { type RowsInMemory, rowsInMemory, sampleRow } from '../../support/ledger-rows.ts';
import { recordingLog } from '../../support/recording-log.ts';

/** A ledger that keeps what it is sent, and fails as `fail` says. */
function scriptedLedger(fail: (batch: readonly { seq: number }[]) => unknown = () => undefined) {
  const batches: number[][] = [];
  return {
    batches,
    async ready() {},
    async record(json: readonly string[]) {
      const rows: { seq: number }[] = json.map((text) => JSON.parse(text));
      batches.push(rows.map(({ seq }) => seq));
      const error = fail(rows);
      if (error !== undefined) throw error;
    },
  };
}

const open = (store: RowsInMemory, changes: Partial<OutboxOptions> = {}) => {
  const log = recordingLog();
  const ledger = scriptedLedger();
  return {
    log,
    outbox: createOutbox({
      ...{ store, ledger, log, countWaiting: () => store.waiting.length, delayMs: () => 1 },
      ...changes,
    }),
  };
};
const rows = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => sampleRow({ seq: from + index }));
const inTime = () => AbortSignal.timeout(5000);
const down = () => new ServiceUnavailable('ledger', 'no answer', { hint: 'Look at it.' });

/** Errors one after the other, then none. */
const failuresOf =
  (...errors: unknown[]) =>
  () =>
    errors.shift();

test('rows go out in order, in batches', async () => {
  const store = rowsInMemory(...rows(1, 25));
  const ledger = scriptedLedger();
  const { outbox } = open(store, { ledger, batchSize: 10 });
  await using _ = outbox;
  expect(await outbox.drained(inTime())).toBe(true);
  expect(ledger.batches.map((batch) => batch.length)).toEqual([10, 10, 5]);
  expect(ledger.batches.flat()).toEqual(Array.from({ length: 25 }, (_, index) => index + 1));
});

test('one batch is in flight at a time; what comes meanwhile goes together', async () => {
  const store = rowsInMemory(...rows(1, 1));
  const answer = Promise.withResolvers<void>();
  const sent: number[] = [];
  const ledger = {
    async ready() {},
    async record(json: readonly string[]) {
      sent.push(json.length);
      await answer.promise;
    },
  };
  const { outbox } = open(store, { ledger });
  await using _ = outbox;
  await expect.poll(() => sent).toEqual([1]);
  for (const row of rows(2, 6)) {
    store.add(row);
    outbox.wake();
  }
  answer.resolve();
  expect(await outbox.drained(inTime())).toBe(true);
  expect(sent).toEqual([1, 5]);
});

test('a wake while the store is asked is not lost', async () => {
  const store = rowsInMemory();
  const { outbox } = open({
    ...store,
    next(limit) {
      const found = store.next(limit);
      if (found.length === 0 && store.recordedIds.length === 0) {
        store.add(sampleRow());
        outbox.wake();
      }
      return found;
    },
  });
  await using _ = outbox;
  await expect.poll(() => store.recordedIds.length).toBe(1);
});

test('an outage is told once, however its errors differ, and so is its end', async () => {
  const store = rowsInMemory(...rows(1, 3));
  const fail = failuresOf(down(), new ServiceUnavailable('ledger', 'starting up', { answered: true }), down());
  const { outbox, log } = open(store, { ledger: scriptedLedger(fail) });
  await using _ = outbox;
  expect(await outbox.drained(inTime())).toBe(true);
  expect(log.events).toMatchObject([
    { level: 'warning', event: 'ledger-down', fields: { error: 'no answer', hint: 'Look at it.', rows_waiting: 3 } },
    { level: 'info', event: 'ledger-up', fields: { rows_waiting: 3, down_seconds: 0 } },
  ]);
});

test('what a person must mend is an error, and each such thing is told once', async () => {
  const store = rowsInMemory(...rows(1, 1));
  const login = () => new CredentialsError('refused', { hint: 'Check the login.' });
  const schema = () => new ConfigError('missing', { hint: 'Run migrate.' });
  const { outbox, log } = open(store, {
    ledger: scriptedLedger(failuresOf(down(), login(), down(), login(), schema(), schema())),
  });
  await using _ = outbox;
  expect(await outbox.drained(inTime())).toBe(true);
  expect(log.named('ledger-down').map(({ level, fields }) => [level, fields['hint']])).toEqual([
    ['warning', 'Look at it.'],
    ['error', 'Check the login.'],
    ['error', 'Run migrate.'],
  ]);
  expect(log.named('ledger-up')).toHaveLength(1);
});

test('the state says since when and why it is down, and that it is up again', async () => {
  const store = rowsInMemory(...rows(1, 2));
  let broken = true;
  const { outbox, log } = open(store, { ledger: scriptedLedger(() => (broken ? down() : undefined)) });
  await using _ = outbox;
  await log.first('ledger-down');
  expect(outbox.state()).toMatchObject({
    up: false,
    reason: 'no answer',
    hint: 'Look at it.',
    waiting: 2,
    recorded: 0,
  });
  expect(outbox.state().downSince).toBeInstanceOf(Date);
  broken = false;
  await outbox.drained(inTime());
  expect(outbox.state()).toMatchObject({ up: true, downSince: undefined, reason: undefined, waiting: 0, recorded: 2 });
});

test('the wait grows with the failures in a row, and starts anew after a success', async () => {
  const store = rowsInMemory(...rows(1, 2));
  const attempts: number[] = [];
  const delayMs = (attempt: number) => {
    attempts.push(attempt);
    return 0;
  };
  const fail = failuresOf(down(), down(), undefined, down());
  const { outbox } = open(store, { ledger: scriptedLedger(fail), delayMs, batchSize: 1 });
  await using _ = outbox;
  expect(await outbox.drained(inTime())).toBe(true);
  expect(attempts).toEqual([0, 1, 0]);
});

test('rows refused for their content are found and set aside; the others keep their order', async () => {
  const store = rowsInMemory(...rows(1, 16));
  const bad = new Set([3, 4, 16]);
  const recorded: number[] = [];
  const ledger = scriptedLedger((batch) => {
    if (batch.some(({ seq }) => bad.has(seq))) return new RowRefused('Postgres refuses the row: odd');
    recorded.push(...batch.map(({ seq }) => seq));
    return undefined;
  });
  const { outbox, log } = open(store, { ledger });
  await using _ = outbox;
  expect(await outbox.drained(inTime())).toBe(true);
  expect(recorded).toEqual([1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  expect([...store.asideReasons.values()]).toEqual(Array(3).fill('Postgres refuses the row: odd'));
  expect(log.events.map(({ level, event }) => `${level} ${event}`)).toEqual(Array(3).fill('error set-aside'));
  expect(outbox.state()).toMatchObject({ recorded: 13, waiting: 0 });
});

test('an outage while a bad row is looked for sets nothing aside', async () => {
  const store = rowsInMemory(...rows(1, 4));
  const fail = failuresOf(new RowRefused('odd'), down());
  const { outbox } = open(store, { ledger: scriptedLedger(fail) });
  await using _ = outbox;
  expect(await outbox.drained(inTime())).toBe(true);
  expect(store.asideReasons.size).toBe(0);
  expect(store.recordedIds).toHaveLength(4);
});

test('a journal that fails is not called an outage of the ledger', async () => {
  const store = rowsInMemory(...rows(1, 1));
  const fail = failuresOf(new Error('disk full'));
  const { outbox, log } = open({
    ...store,
    async recorded(sent) {
      const error = fail();
      if (error !== undefined) throw error;
      await store.recorded(sent);
    },
  });
  await using _ = outbox;
  await expect.poll(() => store.recordedIds.length).toBe(1);
  expect(log.events).toMatchObject([
    { level: 'error', event: 'warning', fields: { error: expect.stringContaining('disk full') } },
  ]);
});

test('draining ends with the signal, stopping with the batch broken off', async () => {
  const store = rowsInMemory(...rows(1, 2));
  let broken: unknown;
  const ledger = {
    ready: async () => {},
    record: (_json: readonly string[], signal?: AbortSignal) =>
      new Promise<void>((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          broken = signal.reason;
          reject(signal.reason);
        });
      }),
  };
  const { outbox, log } = open(store, { ledger });
  expect(await outbox.drained(AbortSignal.timeout(20))).toBe(false);
  expect(await outbox.drained(AbortSignal.abort())).toBe(false);
  await outbox[Symbol.asyncDispose]();
  expect(broken).toBeDefined();
  expect(store.waiting).toHaveLength(2);
  expect(log.events).toEqual([]);
});

test('what is wrong with the ledger shows at start, before there is a row, and that it is up again too', async () => {
  const log = recordingLog();
  let isUp = false;
  const ledger = {
    async ready() {
      if (!isUp) throw new ServiceUnavailable('ledger', 'connection refused');
    },
    async record() {},
  };
  const store = { next: () => [], onDisk: async () => {}, recorded: async () => {}, setAside: async () => {} };
  await using _outbox = createOutbox({ store, ledger, log, countWaiting: () => 0, delayMs: () => 1 });
  expect((await log.first('ledger-down')).fields).toMatchObject({ error: 'connection refused', rows_waiting: 0 });
  isUp = true;
  await log.first('ledger-up');
  expect(log.named('ledger-down')).toHaveLength(1);
});
