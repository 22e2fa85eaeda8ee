import { Counter, Gauge, type Registry } from 'prom-client';

/** As much of the daemon's report as there are metrics for. Times are ISO 8601, null where there is none. */
export interface MeasuredState {
  readonly version: string;
  readonly at: string;
  readonly phase: string;
  readonly uploads: { readonly paused: { readonly reason: string } | null };
  readonly queue: Readonly<Record<QueueState, number>>;
  readonly oldestUnrecordedAt: string | null;
  readonly rescan: {
    readonly at: string;
    readonly ms: number;
    readonly files: number;
    readonly ignored: number;
    readonly unreadable: number;
    readonly foundByRescan: number;
  } | null;
  readonly ledger: {
    readonly up: boolean;
    readonly rowsWaiting: number;
    readonly rowsSetAside: number;
    readonly recorded: number;
  };
  readonly credentials: { readonly expiresAt: string | null; readonly endsAt: string | null } | null;
  readonly quarantine: { readonly files: number | null };
  readonly totals: {
    readonly uploaded: number;
    readonly bytes: number;
    readonly duplicates: number;
    readonly quarantined: number;
    readonly gone: number;
  };
}

type QueueState = 'settling' | 'queued' | 'uploading' | 'stored' | 'recorded' | 'kept' | 'notMovable';

type QueueGauge = Gauge<'state'>;

/** Names a metric for each fact of the state; the function that is returned sets them all. */
export function metricsOfState(registry: Registry): (state: MeasuredState) => void {
  const registers = [registry];
  const gauge = (name: string, help: string) => new Gauge({ name: `dropledger_${name}`, help, registers });
  const counter = (name: string, help: string) => new Counter({ name: `dropledger_${name}`, help, registers });

  const info = new Gauge({
    name: 'dropledger_build_info',
    help: 'Always 1; the release stands in the label.',
    labelNames: ['version'],
    registers,
  });
  const files = new Counter({
    name: 'dropledger_files_total',
    help: 'Files by what became of them, since the start.',
    labelNames: ['outcome'],
    registers,
  });
  const queue: QueueGauge = new Gauge({
    name: 'dropledger_queue_files',
    help: 'Files by where they are on their way; kept and not_movable stay in the folder.',
    labelNames: ['state'],
    registers,
  });
  const outbox = new Gauge({
    name: 'dropledger_outbox_rows',
    help: 'Ledger rows in the local journal: waiting for Postgres, or set aside because it refused them.',
    labelNames: ['state'],
    registers,
  });
  const bytes = counter('uploaded_bytes_total', 'Bytes of the files that were uploaded, since the start.');
  const recorded = counter('ledger_rows_recorded_total', 'Rows committed in Postgres, since the start.');
  const found = counter(
    'rescan_found_files_total',
    'Files that no event had told of, found by scans, since the start.',
  );
  const oldest = gauge(
    'oldest_unrecorded_age_seconds',
    'How long the file has waited that has waited longest for its ledger row; 0 where none waits.',
  );
  const paused = gauge('uploads_paused', '1 while uploads wait for S3 or for credentials.');
  const up = gauge('ledger_up', '0 while Postgres cannot be reached or refuses the login.');
  const running = gauge('running', '1 once it is ready, 0 while it starts and stops.');
  const quarantine = gauge('quarantine_files', 'Files in quarantine; counted up to 10,000.');
  const scanned = gauge('rescan_timestamp_seconds', 'When the last scan of the whole folder ended.');
  const scanTook = gauge('rescan_duration_seconds', 'How long that took.');
  const inFolder = gauge('folder_files', 'Regular files that the last scan came upon, ignored ones left out.');
  const ignored = gauge('folder_ignored_entries', 'Files and folders that a rule of dropFolder.ignore hid from it.');
  const unreadable = gauge('folder_unreadable_folders', 'Folders that it could not read.');
  const expires = gauge(
    'credentials_expiration_timestamp_seconds',
    'When the credentials in use end; absent where they do not say. Most renew themselves before.',
  );
  const ends = gauge(
    'credentials_login_end_timestamp_seconds',
    'When somebody must log in again; absent where nobody need.',
  );

  return (state) => {
    const { totals, ledger, rescan, credentials } = state;
    info.reset();
    info.set({ version: state.version }, 1);
    files.reset();
    for (const outcome of ['uploaded', 'duplicates', 'quarantined', 'gone'] as const) {
      files.inc({ outcome: outcomeLabels[outcome] }, totals[outcome]);
    }
    for (const [name, count] of Object.entries(state.queue)) queue.set({ state: snakeCase(name) }, count);
    outbox.set({ state: 'waiting' }, ledger.rowsWaiting);
    outbox.set({ state: 'set_aside' }, ledger.rowsSetAside);
    setCounter(bytes, totals.bytes);
    setCounter(recorded, ledger.recorded);
    setCounter(found, rescan?.foundByRescan ?? 0);
    oldest.set(state.oldestUnrecordedAt === null ? 0 : secondsOf(state.at) - secondsOf(state.oldestUnrecordedAt));
    paused.set(state.uploads.paused === null ? 0 : 1);
    up.set(ledger.up ? 1 : 0);
    running.set(state.phase === 'running' ? 1 : 0);
    setOrRemove(quarantine, state.quarantine.files);
    setOrRemove(scanned, rescan && secondsOf(rescan.at));
    setOrRemove(scanTook, rescan && rescan.ms / 1000);
    setOrRemove(inFolder, rescan?.files);
    setOrRemove(ignored, rescan?.ignored);
    setOrRemove(unreadable, rescan?.unreadable);
    setOrRemove(expires, secondsOrNull(credentials?.expiresAt));
    setOrRemove(ends, secondsOrNull(credentials?.endsAt));
  };
}

const outcomeLabels = {
  uploaded: 'uploaded',
  duplicates: 'duplicate',
  quarantined: 'quarantined',
  gone: 'gone',
} as const;

const secondsOf = (iso: string): number => Date.parse(iso) / 1000;
const secondsOrNull = (iso: string | null | undefined): number | null => (iso ? secondsOf(iso) : null);
const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The daemon counts; here it is only told. */
function setCounter(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

/** A value that is not known is absent, not 0. */
function setOrRemove(gauge: Gauge, value: number | null | undefined): void {
  if (value === null || value === undefined) gauge.remove();
  else gauge.set(value);
}
