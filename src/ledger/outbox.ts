/**
 * Brings the rows that wait in the local journal into Postgres: in order, many at a time, one batch in flight.
 *
 *     idle ──wake──▶ sending ──▶ idle                 (no rows left)
 *                       │ ▲
 *            down: wait │ │ after delayMs(attempt)    (rows stay in the store, sent again verbatim)
 *                       ▼ │
 *                      down
 *
 * It decides nothing about a row but this: one that Postgres refuses for its content is set aside, so that it does not
 * hold up the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog, OutboxRow, OutboxStore } from '../model.ts';
import { DropledgerError, LocalFailure, messageOf, ServiceUnavailable } from '../service/errors.ts';
import { sayRarely } from '../service/say-rarely.ts';
import { RowRefused } from './errors.ts';
import type { Ledger } from './ledger.ts';

export interface OutboxOptions {
  readonly store: OutboxStore;
  /** How many rows wait in the store; asked when it is told to somebody. */
  readonly countWaiting: () => number;
  readonly ledger: Pick<Ledger, 'record' | 'ready'>;
  readonly log: EventLog;
  /** How long to wait after the first failure in a row (0), the second (1)…, in ms. */
  readonly delayMs: (attempt: number) => number;
  /** Rows in one statement. */
  readonly batchSize?: number;
}

interface OutboxState {
  /** Whether the last attempt to reach the ledger succeeded, or none was made yet. */
  readonly up: boolean;
  readonly downSince: Date | undefined;
  /** Why it is down, and what to do about it. */
  readonly reason: string | undefined;
  readonly hint: string | undefined;
  /** Rows in the store. */
  readonly waiting: number;
  /** Rows since the start. */
  readonly recorded: number;
  readonly lastRecordedAt: Date | undefined;
}

export interface Outbox {
  /** There may be rows in the store. Cheap: call it after each row that was enqueued. */
  wake(): void;
  state(): OutboxState;
  /** Whether the store is empty; waits for that until the signal is aborted. */
  drained(signal: AbortSignal): Promise<boolean>;
  /** Stops at once: a batch in flight is broken off, and sent again after the next start. */
  [Symbol.asyncDispose](): Promise<void>;
}

const defaultBatchSize = 1000;
/** That the local journal fails is not said again sooner. */
const repeatAfterMs = 300_000;

/** Starts to send what is in the store already. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { store, countWaiting, ledger, log, delayMs, batchSize = defaultBatchSize } = options;
  const outage = createOutage(log, countWaiting);
  const sayJournalFails = sayRarely(repeatAfterMs, (error, hint: string | undefined) =>
    log.error('warning', { error: messageOf(error), hint }, 'rows wait; it is tried again'),
  );
  const stop = new AbortController();
  let recorded = 0;
  let lastRecordedAt: Date | undefined;
  let woken = Promise.withResolvers<void>();
  const whenEmpty = new Set<() => void>();

  /** Sends what is there until nothing is, and waits to be woken. Ends when it is stopped. */
  async function run(): Promise<void> {
    let failures = 0;
    let isReady = false;
    while (!stop.signal.aborted) {
      try {
        // Before there is a row: what is wrong with login or schema shows at start, not with the first file.
        if (!isReady) await ledger.ready(stop.signal);
        isReady = true;
        // Replaced before the store is asked: a wake that comes meanwhile is seen by the next round.
        woken = Promise.withResolvers();
        const rows = await journal(() => store.next(batchSize));
        await journal(() => store.onDisk());
        if (rows.length > 0) await send(rows);
        else {
          outage.over();
          for (const tell of whenEmpty) tell();
          await woken.promise;
        }
        failures = 0;
      } catch (error) {
        if (stop.signal.aborted) return;
        if (error instanceof LocalFailure) sayJournalFails(error, error.hint);
        else outage.failed(error);
        await sleep(delayMs(failures), undefined, { signal: stop.signal }).catch(() => {});
        failures += 1;
      }
    }
  }

  async function send(rows: readonly OutboxRow[]): Promise<void> {
    const refusal = await record(rows);
    const [first] = rows;
    if (refusal === undefined || first === undefined) {
      outage.over();
      await journal(() => store.recorded(rows));
      recorded += rows.length;
      lastRecordedAt = new Date();
    } else if (rows.length === 1) {
      outage.over();
      await journal(() => store.setAside(first, refusal.message));
      log.error(
        'set-aside',
        { ledger_id: first.id, path: pathIn(first), error: refusal.message },
        'the ledger refuses this row for its content: it is kept, its file stays where it is, and the next start sends it again',
      );
    } else {
      const middle = rows.length >> 1;
      await send(rows.slice(0, middle));
      await send(rows.slice(middle));
    }
  }

  async function record(rows: readonly OutboxRow[]): Promise<RowRefused | undefined> {
    try {
      await ledger.record(
        rows.map(({ json }) => json),
        stop.signal,
      );
      return undefined;
    } catch (error) {
      if (error instanceof RowRefused) return error;
      throw error;
    }
  }

  const running = run();
  return {
    wake() {
      woken.resolve();
    },
    state: () => ({ ...outage.state(), waiting: countWaiting(), recorded, lastRecordedAt }),
    async drained(signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      whenEmpty.add(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
      woken.resolve();
      await promise;
      whenEmpty.delete(resolve);
      return countWaiting() === 0;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      woken.resolve();
      await running;
    },
  };
}

/** Failures of the local store are not the ledger's: they become a `LocalFailure`. */
async function journal<Result>(act: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (cause) {
    throw new LocalFailure(`the local journal fails: ${messageOf(cause)}`, {
      hint: 'Check the disk that journal.path is on.',
      cause,
    });
  }
}

function pathIn(row: OutboxRow): string | undefined {
  try {
    const { path } = JSON.parse(row.json) as { path?: unknown };
    return typeof path === 'string' ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Tells the log that the ledger went down, once for each different thing there is to do, and that it is up again. */
function createOutage(log: EventLog, countWaiting: () => number) {
  let since: Date | undefined;
  let reason: string | undefined;
  let hint: string | undefined;
  const said = new Set<string>();

  return {
    failed(error: unknown): void {
      since ??= new Date();
      reason = messageOf(error);
      hint = error instanceof DropledgerError ? error.hint : undefined;
      // Waiting mends an outage, however its errors differ; a login, a schema or a certificate needs a person.
      const waitingMends = error instanceof ServiceUnavailable;
      const kind = waitingMends ? '' : `${hint}`;
      if (said.has(kind)) return;
      said.add(kind);
      const level = waitingMends ? 'warning' : 'error';
      log[level]('ledger-down', { error: reason, hint, rows_waiting: countWaiting() });
    },
    over(): void {
      if (since === undefined) return;
      const downSeconds = Math.round((Date.now() - since.getTime()) / 1000);
      log.info('ledger-up', { down_seconds: downSeconds, rows_waiting: countWaiting() });
      since = reason = hint = undefined;
      said.clear();
    },
    state: () => ({ up: since === undefined, downSince: since, reason, hint }),
  };
}
