/**
 * What is said over the control socket: one JSON object a line, a question from the client and one or more lines back,
 * of which the last has `done`. Paths are text as the journal writes them (`service/path-bytes.ts`); times are ISO 8601.
 */

export type Question =
  | { readonly command: 'status' }
  | { readonly command: 'explain'; readonly path: string }
  /** Puts the files back that were quarantined under this path. */
  | { readonly command: 'retry'; readonly path: string }
  | { readonly command: 'retry-all' };

export type Answer =
  | { readonly done: false; readonly putBack: PutBackResult }
  | { readonly done: true; readonly status: DaemonReport }
  | { readonly done: true; readonly explanation: Explanation }
  | { readonly done: true; readonly putBack: { readonly files: number; readonly left: number } }
  | { readonly done: true; readonly error: string };

/** A file of the quarantine, and whether it is in the drop folder again. */
export interface PutBackResult {
  /** Its path in the drop folder. */
  readonly path: string;
  /** Why it stays where it is; absent where it was put back. */
  readonly left?: string;
}

/** The whole state of a running daemon. */
export interface DaemonReport {
  readonly version: string;
  readonly pid: number;
  readonly host: string;
  readonly instance: string;
  readonly startedAt: string;
  /** When this was put together. */
  readonly at: string;
  readonly phase: 'starting' | 'running' | 'stopping';
  readonly folder: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly ledgerHost: string;
  readonly uploads: {
    /** Those under way, the largest first; no more than a screen shows. */
    readonly underWay: readonly TransferReport[];
    readonly count: number;
    readonly paused: PauseReport | null;
  };
  readonly throughput: {
    /** Bytes that S3 acknowledged in each of the last 60 seconds, the oldest first. */
    readonly bytes: readonly number[];
    /** Files in each of them. */
    readonly files: readonly number[];
  };
  readonly queue: QueueReport;
  /** When the file was first seen that has waited longest for its row; null where none waits. */
  readonly oldestUnrecordedAt: string | null;
  readonly rescan: RescanReport | null;
  readonly ledger: LedgerReport;
  readonly credentials: CredentialsReport | null;
  readonly quarantine: QuarantineReport;
  /** Since the start. */
  readonly totals: Totals;
}

export interface TransferReport {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly bytesStored: number;
  readonly bytesPerSecond: number;
  readonly startedAt: string;
  /** Attempts that failed before this one. */
  readonly failedAttempts: number;
}

export interface PauseReport {
  readonly since: string;
  readonly reason: string;
  readonly hint: string | null;
  readonly attempts: number;
  readonly nextTryAt: string;
}

/** Files by where they are on their way. */
export interface QueueReport {
  /** Coming to rest. */
  readonly settling: number;
  readonly queued: number;
  readonly uploading: number;
  /** In S3, and wait for their ledger row. */
  readonly stored: number;
  /** Have their row, and wait to be moved. */
  readonly recorded: number;
  /** Stay in the folder, as configured. */
  readonly kept: number;
  readonly notMovable: number;
}

export interface RescanReport {
  /** When the last one ended. */
  readonly at: string;
  readonly ms: number;
  readonly files: number;
  readonly folders: number;
  readonly ignored: number;
  readonly special: number;
  readonly unreadable: number;
  /** Files that no event had told of, since the start. */
  readonly foundByRescan: number;
}

export interface LedgerReport {
  readonly up: boolean;
  readonly downSince: string | null;
  readonly reason: string | null;
  readonly hint: string | null;
  readonly rowsWaiting: number;
  /** Rows that Postgres refused for their content. */
  readonly rowsSetAside: number;
  /** Rows since the start. */
  readonly recorded: number;
  readonly lastRecordedAt: string | null;
}

export interface CredentialsReport {
  readonly source: string;
  /** The caller's ARN; null where it is not known. */
  readonly principal: string | null;
  readonly expiresAt: string | null;
  readonly renewsItself: boolean;
  /** When a person must act; null where nobody need, or it can't be told. */
  readonly endsAt: string | null;
  readonly endIsEstimate: boolean;
}

export interface QuarantineReport {
  /** Files in it, as counted a while ago; null where it was not counted yet. */
  readonly files: number | null;
  /** There are more than were counted. */
  readonly more: boolean;
}

export interface Totals {
  readonly uploaded: number;
  readonly bytes: number;
  readonly duplicates: number;
  readonly quarantined: number;
  /** Left the folder before they were uploaded. */
  readonly gone: number;
  /** Attempts that failed and are repeated. */
  readonly retries: number;
}

/** What happened, or will happen, to one file. */
export interface Explanation {
  readonly path: string;
  readonly state: ExplainedState;
  /** What comes next, or what to do about it: sentences. */
  readonly notes: readonly string[];
  /** What is known besides, by its name: `rule`, `ledgerId`, `object`, `bytes`… */
  readonly facts: Readonly<Record<string, string | number>>;
}

export type ExplainedState =
  | 'ignored'
  | 'settling'
  | 'queued'
  | 'uploading'
  | 'waiting-for-ledger'
  | 'recorded'
  | 'kept'
  | 'not-movable'
  | 'uploaded'
  | 'duplicate'
  | 'quarantined'
  | 'set-aside'
  | 'gone'
  | 'special'
  | 'not-seen'
  | 'never-seen';

/** Bytes of a question at most: a path of 4,096 bytes, each written as `\\xNN` or `\u00NN`, and room around it. */
export const mostQuestionBytes = 64 * 1024;

/** The question in a line; undefined where it is none. */
export function questionFrom(line: string): Question | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { command, path } = value as { command?: unknown; path?: unknown };
  if (command === 'status' || command === 'retry-all') return { command };
  if ((command === 'explain' || command === 'retry') && typeof path === 'string') return { command, path };
  return undefined;
}
