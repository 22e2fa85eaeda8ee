/**
 * The daemon, composed: its parts are opened in reading order and closed in the reverse one. On the way down the
 * watcher stops first, then the queue drains, then the outbox is emptied, as far as the grace time lasts.
 */
import { hostname } from 'node:os';
import { createCredentials } from './aws/credentials.ts';
import { watchExpiry } from './aws/expiry-watch.ts';
import { journalPath, ledgerTarget } from './config/places.ts';
import type { Config } from './config/schema.ts';
import { createDisposal } from './disposal.ts';
import { createDisposer } from './drop-folder/dispose.ts';
import { networkFileSystemOf } from './drop-folder/folder.ts';
import { openFolders } from './drop-folder/folders.ts';
import { hashFile } from './drop-folder/hash-file.ts';
import { createIntake, folderIsThere, type Known } from './drop-folder/intake.ts';
import { createFileOpener, createOwnerLookup } from './drop-folder/open-file.ts';
import { createHousekeeping } from './housekeeping.ts';
import type { KnownFile, QueuedFile, SizeRange } from './journal/files.ts';
import { type Journal, openJournal } from './journal/journal.ts';
import { createLedger } from './ledger/ledger.ts';
import { createOutbox, type Outbox } from './ledger/outbox.ts';
import { createLedgerPool } from './ledger/pool.ts';
import { rowHash } from './ledger/row-hash.ts';
import type { EventFields, EventLog, OutboxStore } from './model.ts';
import { fullJitterMs } from './queue/backoff.ts';
import { createDisposalQueue } from './queue/disposal-queue.ts';
import { createTransferQueue, type Lane } from './queue/transfer-queue.ts';
import { createUploadGate, type UploadGate } from './queue/upload-gate.ts';
import { contentTypeOf } from './s3/content-type.ts';
import { conflictKey, conflictKeyById, expandPrefix, objectKey } from './s3/object-key.ts';
import { createS3Store } from './s3/store-file.ts';
import { DropledgerError, messageOf, ServiceUnavailable } from './service/errors.ts';
import { lockFolder } from './service/folder-lock.ts';
import { errorFields } from './service/log-error.ts';
import { createNetwork } from './service/network.ts';
import { textOf } from './service/path-bytes.ts';
import type { Notifier } from './service/systemd.ts';
import { version } from './service/version.ts';
import { type DaemonStatus, statusLine } from './status-line.ts';
import { createTransfer } from './transfer.ts';

export interface DaemonSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: EventLog;
  readonly notifier: Notifier;
  /** Aborted when the daemon is to stop. */
  readonly stop: AbortSignal;
  /** Aborted when what is still under way is to be given up. */
  readonly graceOver: AbortSignal;
  /** The configuration was read again, and differs in keys that a running daemon takes up. */
  onReload(listener: (config: Config) => void): void;
}

const uploadBackoff = { baseMs: 1000, capMs: 60_000 };
const ledgerBackoff = { baseMs: 250, capMs: 30_000 };
const statusEveryMs = 2000;
/** How long the start waits for AWS to answer at all. */
const firstAnswerMs = 10_000;

/**
 * Runs until it is told to stop.
 * @throws CredentialsError, ConfigError or LocalFailure where it cannot start; nothing was uploaded then.
 */
export async function runDaemon(config: Config, around: DaemonSurroundings): Promise<void> {
  const { env, log, notifier, stop, graceOver } = around;
  const { dropFolder: drop, s3: bucket } = config;
  let live = config;

  const folders = await openFolders(drop);
  await using _lock = await lockFolder({ ...folders.dropFolder, path: drop.path });
  await using journal = openJournal({ path: journalPath(config, env), rowHash });
  sayOrigin(journal, log);
  const networkFileSystem = await networkFileSystemOf(folders.dropFolder);
  if (networkFileSystem !== undefined) warnOfNetworkFileSystem(networkFileSystem, log);

  await using network = await createNetwork({ env });
  const credentials = createCredentials({
    ...config.aws,
    region: bucket.region,
    s3Endpoint: bucket.endpoint,
    env,
    network,
  });
  const { provider } = credentials;
  const prefix = expandPrefix(bucket.prefix, hostname());
  const userAgent = `dropledger/${version}`;
  await using s3 = await createS3Store({ ...bucket, credentials: provider, network, log, userAgent });
  await using pool = createLedgerPool({ ...ledgerTarget(config), credentials: provider, log });

  let principal: string | null = null;
  const askAws = async (signal: AbortSignal) => {
    if (gate.isClosed()) await credentials.refresh();
    principal = (await credentials.identity())?.arn ?? null;
    await s3.probe(prefix, signal);
  };

  await using disposals = createDisposalQueue({
    next: journal.files.recordedAfter,
    dispose: createDisposal({
      journal,
      dispose: createDisposer({ folders, afterUpload: drop.afterUpload, settleMs: drop.settleMs }),
      log,
      lookAgain: (path) => intake.offer(path),
    }),
    onError: (error) => log.error('warning', errorFields(error), 'recorded files wait; it is tried again'),
  });

  await using outbox = drainedAtTheEnd(
    graceOver,
    createOutbox({
      store: wakingAfter(journal.outbox.store, disposals.wake),
      countWaiting: () => journal.outbox.counts().waiting,
      ledger: createLedger(pool),
      log,
      delayMs: (attempt) => fullJitterMs(attempt, ledgerBackoff),
    }),
  );

  await using gate = createUploadGate({
    log,
    ask: askAws,
    delayMs: (attempt) => fullJitterMs(attempt, uploadBackoff),
    onClose: () => queue.pause('outage'),
    onOpen: () => queue.resume('outage'),
  });

  const transfer = createTransfer({
    ...bucket,
    origin: {
      host: hostname(),
      instance: env['DROPLEDGER_INSTANCE'] ?? 'default',
      bucket: bucket.bucket,
      daemonVersion: version,
      principal: () => principal,
    },
    metadata: bucket.metadata ?? {},
    journal,
    gate,
    log,
    open: createFileOpener(folders.dropFolder, createOwnerLookup()),
    hash: hashFile,
    objectKey: (path) => objectKey({ prefix, path }),
    conflictKey,
    conflictKeyById,
    contentType: contentTypeOf,
    store: s3.store,
    settleAnew: (path) => intake.offer(path),
    folderIsThere: () => folderIsThere(folders.dropFolder),
    rowWaits: outbox.wake,
    onProgress: () => {},
    retryDelayMs: (attempt) => fullJitterMs(attempt, uploadBackoff),
  });

  await using queue = createTransferQueue({
    lanes: lanesBySize(journal, bucket),
    current: journal.files.queued,
    run: transfer,
    graceOver,
    onDefect: (error, { path }) => log.error('warning', { path: textOf(path), ...errorFields(error) }, 'tried again'),
  });
  queue.pause('start');

  await using intake = createIntake({
    folder: folders.dropFolder,
    ignore: drop.ignore,
    settleMs: drop.settleMs,
    rescanSeconds: () => live.dropFolder.rescanSeconds,
    trustTimes: networkFileSystem === undefined,
    log,
    known: (path) => knownOf(journal.files.known(path)),
    async onSettled(files) {
      if ((await journal.files.settled(files)) > 0) queue.wake();
    },
    async afterScan() {
      disposals.wake();
    },
  });

  await openGate(gate, askAws, stop);
  queue.resume('start');
  queue.wake();
  disposals.wake();
  await using _housekeeping = createHousekeeping({
    journal,
    folders,
    limits: () => live.dropFolder,
    rememberDays: config.journal.rememberDays,
    abortUpload: s3.abort,
    log,
    retryNotMovable: async () => {
      if ((await journal.files.retryNotMovable()) > 0) disposals.wake();
    },
  });
  await intake.firstScan;

  around.onReload((next) => {
    live = next;
    credentials.refresh().then(gate.askSoon, gate.askSoon);
  });
  using expiry = watchExpiry({ credentials, log });
  const status = (): DaemonStatus => ({
    uploading: queue.running(),
    queued: Math.max(0, (journal.files.counts().queued ?? 0) - queue.running()) + intake.settling(),
    paused: gate.outage()?.error.message,
    ledgerIsUp: outbox.state().up,
    rowsWaiting: outbox.state().waiting,
    credentialsUntil: expiry.endsAt(),
  });
  const telling = setInterval(() => notifier.status(statusLine(status())), statusEveryMs);
  log.info('ready', readyFields(config, principal));
  notifier.status(statusLine(status()));
  notifier.ready();
  try {
    await Promise.race([aborted(stop), intake.scanning]);
  } finally {
    clearInterval(telling);
  }
}

/** Small files, up to one part, go many at a time; large ones share the requests and the memory among few. */
function lanesBySize(journal: Journal, { partSizeMiB, concurrency }: Config['s3']): Lane<QueuedFile>[] {
  const partSizeBytes = partSizeMiB * 2 ** 20;
  const lane = (parallel: number, sizes: SizeRange): Lane<QueuedFile> => ({
    parallel,
    next: (position, limit) => journal.files.queuedAfter(position, sizes, limit),
  });
  return [
    lane(concurrency * 2, { least: 0, most: partSizeBytes }),
    lane(Math.max(2, Math.ceil(concurrency / 2)), { least: partSizeBytes + 1, most: Number.MAX_SAFE_INTEGER }),
  ];
}

function knownOf(known: KnownFile | undefined): Known | undefined {
  switch (known?.state) {
    case undefined:
    case 'settling':
      return undefined;
    case 'kept':
    case 'not-movable':
      return { kind: 'rests', identity: known.identity };
    default:
      return { kind: 'waits' };
  }
}

/** AWS's word before the first upload: refused ends the start; no answer does not, and is asked for again. */
async function openGate(
  gate: UploadGate,
  ask: (signal: AbortSignal) => Promise<void>,
  stop: AbortSignal,
): Promise<void> {
  try {
    await ask(AbortSignal.any([stop, AbortSignal.timeout(firstAnswerMs)]));
  } catch (error) {
    if (stop.aborted) return;
    const waits = error instanceof ServiceUnavailable || !(error instanceof DropledgerError);
    if (!waits) throw error;
    gate.startClosed(
      error instanceof ServiceUnavailable ? error : new ServiceUnavailable('s3', messageOf(error), { cause: error }),
    );
  }
}

function sayOrigin({ origin }: Journal, log: EventLog): void {
  if (origin.kind === 'new') log.info('journal-reset', {}, 'there was no journal: a new one begins');
  if (origin.kind === 'corrupt') {
    const hint = 'files still in the folder may be stored and recorded once more';
    log.error('journal-reset', { moved_to: origin.movedTo, hint }, 'the journal was corrupt: a new one begins');
  }
}

const warnOfNetworkFileSystem = (name: string, log: EventLog): void =>
  log.warning(
    'warning',
    { file_system: name, hint: 'files are found by rescans; lower dropFolder.rescanSeconds if that is too slow' },
    'the drop folder is on a network file system, which tells nothing of what other hosts write',
  );

const readyFields = ({ dropFolder, s3, ledger }: Config, principal: string | null): EventFields => ({
  version,
  folder: dropFolder.path,
  bucket: s3.bucket,
  prefix: s3.prefix,
  ledger: `${ledger.host}/${ledger.database}`,
  principal: principal ?? undefined,
});

/** The outbox's store, with a call after rows were committed. */
const wakingAfter = (store: OutboxStore, wake: () => void): OutboxStore => ({
  ...store,
  async recorded(rows) {
    await store.recorded(rows);
    wake();
  },
});

/** The rows of the last uploads are recorded before it ends, if the ledger is there and the grace time lasts. */
const drainedAtTheEnd = (graceOver: AbortSignal, outbox: Outbox): Outbox => ({
  ...outbox,
  async [Symbol.asyncDispose]() {
    if (outbox.state().up) await outbox.drained(graceOver);
    await outbox[Symbol.asyncDispose]();
  },
});

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
