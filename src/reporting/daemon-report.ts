/** The whole state of a running daemon, put together for whoever asks: `dropledger status` and the metrics. */
import { hostname } from 'node:os';
import type { CredentialState } from '../aws/credentials.ts';
import type { Config } from '../config/schema.ts';
import type {
  CredentialsReport,
  DaemonReport,
  LedgerReport,
  PauseReport,
  QuarantineReport,
  QueueReport,
  RescanReport,
  TransferReport,
} from '../control/protocol.ts';
import type { ScanReport } from '../drop-folder/intake.ts';
import type { Journal } from '../journal/journal.ts';
import type { Outbox } from '../ledger/outbox.ts';
import type { Outage } from '../queue/upload-gate.ts';
import { DropledgerError, messageOf } from '../service/errors.ts';
import { textOf } from '../service/path-bytes.ts';
import { version } from '../service/version.ts';
import type { LiveState, TransferProgress } from './live-state.ts';

export interface ReportOptions {
  readonly config: Config;
  readonly instance: string;
  /** With the host's name filled in. */
  readonly prefix: string;
  readonly pid: number;
  readonly liveState: LiveState;
  readonly journal: Pick<Journal, 'files' | 'outbox'>;
  phase(): DaemonReport['phase'];
  /** Files that are coming to rest. */
  settling(): number;
  lastScan(): ScanReport | undefined;
  outage(): Outage | undefined;
  outboxState(): ReturnType<Outbox['state']>;
  credentials(): Promise<CredentialState>;
  principal(): string | null;
  quarantined(): QuarantineReport;
}

/** Transfers that are told of one by one. */
const mostTransfers = 50;

/** Counters and indexed look-ups alone: it takes a millisecond with a million files in the queue. */
export async function daemonReport(options: ReportOptions): Promise<DaemonReport> {
  const { config, liveState: live, journal } = options;
  const underWay = live.transfers();
  const { uploaded, bytes, duplicates, quarantined, gone, retries } = live.totals;
  return {
    version,
    pid: options.pid,
    host: hostname(),
    instance: options.instance,
    startedAt: live.startedAt.toISOString(),
    at: new Date().toISOString(),
    phase: options.phase(),
    folder: config.dropFolder.path,
    bucket: config.s3.bucket,
    prefix: options.prefix,
    ledgerHost: config.ledger.host,
    uploads: {
      underWay: underWay.sort(bySize).slice(0, mostTransfers).map(transferReport),
      count: underWay.length,
      paused: pauseReport(options.outage()),
    },
    throughput: { bytes: live.rates.bytes(), files: live.rates.files() },
    queue: queueReport(options, underWay.length),
    oldestUnrecordedAt: isoOrNull(journal.files.oldestUnrecorded()),
    rescan: rescanReport(options.lastScan()),
    ledger: ledgerReport(options),
    credentials: await credentialsReport(options),
    quarantine: options.quarantined(),
    totals: { uploaded, bytes, duplicates, quarantined, gone, retries },
  };
}

const bySize = (one: TransferProgress, other: TransferProgress): number =>
  other.file.identity.size - one.file.identity.size;

const isoOrNull = (time: Date | null | undefined): string | null => time?.toISOString() ?? null;

const transferReport = ({ file, startedAt, bytesStored, bytesPerSecond }: TransferProgress): TransferReport => ({
  path: textOf(file.path),
  size: file.identity.size,
  bytesStored,
  bytesPerSecond: Math.round(bytesPerSecond),
  startedAt: startedAt.toISOString(),
  failedAttempts: file.attempts,
});

function pauseReport(outage: Outage | undefined): PauseReport | null {
  if (outage === undefined) return null;
  const { since, error, attempts, nextTryAt } = outage;
  return {
    since: since.toISOString(),
    reason: messageOf(error),
    hint: error instanceof DropledgerError ? (error.hint ?? null) : null,
    attempts,
    nextTryAt: nextTryAt.toISOString(),
  };
}

function queueReport({ journal, settling }: ReportOptions, uploading: number): QueueReport {
  const counts = journal.files.counts();
  return {
    settling: settling() + (counts.settling ?? 0),
    queued: Math.max(0, (counts.queued ?? 0) - uploading),
    uploading,
    stored: counts.stored ?? 0,
    recorded: counts.recorded ?? 0,
    kept: counts.kept ?? 0,
    notMovable: counts['not-movable'] ?? 0,
  };
}

function rescanReport(report: ScanReport | undefined): RescanReport | null {
  return report === undefined ? null : { ...report, at: report.at.toISOString() };
}

function ledgerReport({ journal, outboxState }: ReportOptions): LedgerReport {
  const { up, downSince, reason, hint, waiting, recorded, lastRecordedAt } = outboxState();
  return {
    up,
    downSince: isoOrNull(downSince),
    reason: reason ?? null,
    hint: hint ?? null,
    rowsWaiting: waiting,
    rowsSetAside: journal.outbox.counts().setAside,
    recorded,
    lastRecordedAt: isoOrNull(lastRecordedAt),
  };
}

/** Null where the shared files cannot be read just now: an outage tells more of that. */
async function credentialsReport({ credentials, principal }: ReportOptions): Promise<CredentialsReport | null> {
  const state = await credentials().catch(() => undefined);
  if (state === undefined) return null;
  return {
    source: state.description,
    principal: principal(),
    expiresAt: isoOrNull(state.expiresAt),
    renewsItself: state.renewsItself,
    endsAt: isoOrNull(state.endsAt),
    endIsEstimate: state.endIsEstimate,
  };
}
