/**
 * What a running daemon knows of itself and nothing on disk tells: the transfers under way, what came of others since
 * the start, and how fast it goes. For each file it costs an entry in a map and a few additions.
 */
import type { QueuedFile } from '../journal/files.ts';
import type { EventFields, EventLog, EventName } from '../model.ts';
import { createRecentRates } from './recent-rates.ts';

/** A file whose pass is under way. */
interface LiveTransfer {
  readonly file: QueuedFile;
  readonly startedAtMs: number;
  /** The last few acknowledgements of S3, the newest last. */
  readonly acknowledged: { readonly bytes: number; readonly atMs: number }[];
}

/** How far a transfer is, and how fast it was lately. */
export interface TransferProgress {
  readonly file: QueuedFile;
  readonly startedAt: Date;
  readonly bytesStored: number;
  readonly bytesPerSecond: number;
}

/** What can still be told of a path whose file left no trace in the journal. */
export interface RareOutcome {
  readonly event: 'duplicate' | 'gone';
  readonly at: Date;
  readonly fields: EventFields;
}

export interface LiveTotals {
  uploaded: number;
  bytes: number;
  duplicates: number;
  quarantined: number;
  gone: number;
  retries: number;
}

/** Told of each upload, and of each attempt that failed. */
export interface LiveObserver {
  uploaded?(bytes: number, seconds: number): void;
  retried?(kind: string): void;
}

export type LiveState = ReturnType<typeof createLiveState>;

const mostRemembered = 1000;
/** Acknowledgements, a part each, over which the speed of a transfer is measured. */
const mostAcknowledged = 12;

export function createLiveState({ now = Date.now }: { readonly now?: () => number } = {}) {
  const startedAt = new Date(now());
  const transfers = new Map<string, LiveTransfer>();
  const totals: LiveTotals = { uploaded: 0, bytes: 0, duplicates: 0, quarantined: 0, gone: 0, retries: 0 };
  const rates = createRecentRates(now);
  const rare = new Map<string, RareOutcome>();
  const observers: LiveObserver[] = [];

  const remember = (event: RareOutcome['event'], fields: EventFields): void => {
    const path = String(fields['path']);
    rare.delete(path);
    rare.set(path, { event, at: new Date(now()), fields });
    if (rare.size > mostRemembered) rare.delete(rare.keys().next().value ?? '');
  };

  const take = (event: EventName, fields: EventFields): void => {
    switch (event) {
      case 'uploaded':
        totals.uploaded += 1;
        totals.bytes += Number(fields['bytes']);
        rates.countFile();
        for (const observer of observers) observer.uploaded?.(Number(fields['bytes']), Number(fields['ms']) / 1000);
        break;
      case 'duplicate':
        totals.duplicates += 1;
        remember(event, fields);
        break;
      case 'quarantined':
        totals.quarantined += 1;
        break;
      case 'gone':
        totals.gone += 1;
        remember(event, fields);
        break;
    }
  };

  return {
    startedAt,
    totals: totals as Readonly<LiveTotals>,
    rates,

    /** The pass of the path that is under way; undefined where none is. */
    transfer: (path: string): TransferProgress | undefined => {
      const transfer = transfers.get(path);
      return transfer && progressOf(transfer, now());
    },

    /** All that are under way. */
    transfers: (): TransferProgress[] => [...transfers.values()].map((transfer) => progressOf(transfer, now())),

    /** What became of the path's last file, if that was out of the ordinary and not too long ago. */
    rareOutcome: (path: string): RareOutcome | undefined => rare.get(path),

    /** The log, with an ear at it: what is counted is what was said. */
    listeningTo: (log: EventLog): EventLog => ({
      ...log,
      info(event, fields, message) {
        take(event, fields);
        log.info(event, fields, message);
      },
      error(event, fields, message) {
        take(event, fields);
        log.error(event, fields, message);
      },
    }),

    /** The pass, known to be under way while it is. */
    tracking:
      (pass: (file: QueuedFile, signal: AbortSignal) => Promise<number | undefined>) =>
      async (file: QueuedFile, signal: AbortSignal): Promise<number | undefined> => {
        transfers.set(file.path, { file, startedAtMs: now(), acknowledged: [] });
        try {
          return await pass(file, signal);
        } finally {
          transfers.delete(file.path);
        }
      },

    progress({ path }: QueuedFile, bytesStored: number): void {
      const acknowledged = transfers.get(path)?.acknowledged;
      if (acknowledged === undefined) return;
      rates.countBytes(Math.max(0, bytesStored - (acknowledged.at(-1)?.bytes ?? 0)));
      acknowledged.push({ bytes: bytesStored, atMs: now() });
      if (acknowledged.length > mostAcknowledged) acknowledged.shift();
    },

    /** An attempt failed and will be repeated; `kind` says what was in the way. */
    retried(kind: string): void {
      totals.retries += 1;
      for (const observer of observers) observer.retried?.(kind);
    },

    observe: (observer: LiveObserver): void => void observers.push(observer),
  };
}

function progressOf({ file, startedAtMs, acknowledged }: LiveTransfer, nowMs: number): TransferProgress {
  const first = acknowledged.length < mostAcknowledged ? { bytes: 0, atMs: startedAtMs } : acknowledged[0];
  const bytesStored = acknowledged.at(-1)?.bytes ?? 0;
  const { bytes, atMs } = first ?? { bytes: 0, atMs: startedAtMs };
  const seconds = (nowMs - atMs) / 1000;
  const bytesPerSecond = seconds > 0 ? Math.max(0, bytesStored - bytes) / seconds : 0;
  return { file, startedAt: new Date(startedAtMs), bytesStored, bytesPerSecond };
}
