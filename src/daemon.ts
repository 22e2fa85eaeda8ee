/**
 * The daemon, composed: its parts are opened in reading order and closed in the reverse one. On the way down the
 * watcher stops first, then the queue drains, then the outbox is emptied, as far as the grace time lasts.
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCredentials } from './aws/credentials.ts';
import { watchExpiry } from './aws/expiry-watch.ts';
import { namingSource } from './aws/naming-source.ts';
import { instanceName, journalPath, ledgerTarget } from './config/places.ts';
import type { Config } from './config/schema.ts';
import { createDisposal } from './disposal.ts';
import { createBatchDisposer } from './drop-folder/dispose-in-batches.ts';
import { folderIsThere, networkFileSystemOf } from './drop-folder/folder.ts';
import { openFolders, tookFilesBefore } from './drop-folder/folders.ts';
import { hashFile } from './drop-folder/hash-file.ts';
import { createIntake, type Known } from './drop-folder/intake.ts';
import { createFileOpener, createOwnerLookup } from './drop-folder/open-file.ts';
import { createHousekeeping } from './housekeeping.ts';
import type { KnownFile, QueuedFile } from './journal/files.ts';
import { openJournal } from './journal/journal.ts';
import { lanesBySize } from './lanes.ts';
import { createLedger } from './ledger/ledger.ts';
import { createOutbox, type Outbox } from './ledger/outbox.ts';
import { createLedgerPool } from './ledger/pool.ts';
import { rowHash } from './ledger/row-hash.ts';
import type { EventLog, OutboxStore } from './model.ts';
import { fullJitterMs } from './queue/backoff.ts';
import { createDisposalQueue } from './queue/disposal-queue.ts';
import { createTransferQueue } from './queue/transfer-queue.ts';
import { createUploadGate } from './queue/upload-gate.ts';
import { createLiveState } from './reporting/live-state.ts';
import { createObservation } from './reporting/observation.ts';
import { readyFields, sayOriginOf, warnOfNetworkFileSystem } from './reporting/start-notices.ts';
import { type DaemonStatus, statusLine } from './reporting/status-line.ts';
import { contentTypeOf } from './s3/content-type.ts';
import { conflictKey, conflictKeyById, objectKey, resolvePrefix } from './s3/object-key.ts';
import { createS3Store } from './s3/store-file.ts';
import { lockFolder } from './service/folder-lock.ts';
import { freeMemoryWhenIdle } from './service/idle-memory.ts';
import { errorFields } from './service/log-error.ts';
import { createNetwork } from './service/network.ts';
import { textOf } from './service/path-bytes.ts';
import { sayRarely } from './service/say-rarely.ts';
import type { Notifier } from './service/systemd.ts';
import { version } from './service/version.ts';
import { createTransfer } from './transfer.ts';
import { putsConditionally } from './upload.ts';

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
/** Nobody waits for it, and a login takes four answers: a server that needs 5 s for each is slow, and not down. */
const ledgerLoginMs = 30_000;
const statusEveryMs = 2000;
/** The same trouble is not said again sooner. */
const repeatAfterMs = 300_000;
/** How long the start waits for AWS to answer at all. */
const firstAnswerMs = 10_000;
/** How long READY waits for the first scan: a backlog of a million files takes minutes, and systemd waits for 90 s. */
const firstScanMs = 10_000;

/**
 * Runs until it is told to stop.
 * @throws CredentialsError, ConfigError or LocalFailure where it cannot start; nothing was uploaded then.
 */
export async function runDaemon(config: Config, around: DaemonSurroundings): Promise<void> {
  const { env, notifier, stop } = around;
  const defect = new AbortController();
  /** What ends by a defect ends at once: the next start goes on. */
  const graceOver = AbortSignal.any([around.graceOver, defect.signal]);
  const liveState = createLiveState();
  const log = liveState.listeningTo(around.log);
  const { dropFolder: drop, s3: bucket } = config;
  const instance = instanceName(env);
  let live = config;

  const folders = await openFolders(drop);
  await using _lock = await lockFolder({ ...folders.dropFolder, path: drop.path });
  const journalFile = journalPath(config, env);
  await using journal = openJournal({ path: journalFile, rowHash, tookFilesBefore: await tookFilesBefore(folders) });
  await using observation = createObservation();
  sayOriginOf(journal.origin, log);
  const networkFileSystem = await networkFileSystemOf(folders.dropFolder);
  warnOfNetworkFileSystem(networkFileSystem, log);

  await using network = await createNetwork({ env });
  const credentials = createCredentials({
    ...config.aws,
    region: bucket.region,
    s3Endpoint: bucket.endpoint,
    env,
    network,
  });
  const { provider } = credentials;
  const prefix = resolvePrefix(bucket.prefix, hostname());
  const userAgent = `dropledger/${version}`;
  await using s3 = await createS3Store({
    ...bucket,
    conditionalWrites: putsConditionally(bucket),
    credentials: provider,
    network,
    log,
    userAgent,
  });
  await using pool = createLedgerPool({
    ...ledgerTarget(config),
    credentials: provider,
    log,
    connectTimeoutMs: ledgerLoginMs,
  });

  const probe = namingSource(credentials, s3.probe);
  let principal: string | null = null;
  const askAws = async (signal: AbortSignal) => {
    if (gate.isClosed()) await credentials.refresh();
    principal = (await credentials.identity())?.arn ?? null;
    await probe(prefix, signal);
  };

  await using disposer = createBatchDisposer({
    ...{ folders, afterUpload: drop.afterUpload, settleMs: drop.settleMs, graceOver },
  });
  await using disposals = createDisposalQueue({
    next: journal.files.recordedAfter,
    dispose: createDisposal({
      journal,
      dispose: disposer.dispose,
      log,
      lookAgain: (path) => intake.offer(path),
    }),
    delayMs: (attempt) => fullJitterMs(attempt, uploadBackoff),
    onError: sayRarely(repeatAfterMs, (error) =>
      log.error('warning', errorFields(error), 'recorded files wait; it is tried again'),
    ),
    graceOver,
  });

  await journal.outbox.retrySetAside();
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
      instance,
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
    store: namingSource(credentials, s3.store),
    settleAnew: (path) => intake.offer(path),
    folderIsThere: () => folderIsThere(folders.dropFolder),
    rowWaits: outbox.wake,
    onProgress: liveState.progress,
    onRetry: liveState.retried,
    retryDelayMs: (attempt) => fullJitterMs(attempt, uploadBackoff),
  });

  await using queue = createTransferQueue({
    lanes: lanesBySize(journal, bucket),
    current: journal.files.queued,
    run: liveState.tracking(transfer),
    graceOver,
    onDefect: sayRarely(repeatAfterMs, (error, { path }: QueuedFile) =>
      log.error('warning', { path: textOf(path), ...errorFields(error) }, 'files wait; it is tried again'),
    ),
  });
  queue.pause('start');

  await using intake = createIntake({
    folder: folders.dropFolder,
    ignore: drop.ignore,
    settleMs: drop.settleMs,
    rescanSeconds: () => live.dropFolder.rescanSeconds,
    onNetwork: networkFileSystem !== undefined,
    log,
    known: (path) => knownOf(journal.files.known(path)),
    async onSettled(files) {
      if ((await journal.files.settled(files)) > 0) queue.wake();
    },
    async afterScan() {
      disposals.wake();
    },
  });

  let isReady = false;
  await observation.open({
    ...{ config, env, log, instance, prefix, liveState, journal, folders, intake },
    outage: gate.outage,
    outboxState: outbox.state,
    rescanSeconds: () => live.dropFolder.rescanSeconds,
    credentials: credentials.state,
    principal: () => principal,
    phase: () => (stop.aborted ? 'stopping' : isReady ? 'running' : 'starting'),
  });

  await gate.askFirst(stop, firstAnswerMs);
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
  await Promise.race([intake.firstScan, sleep(firstScanMs, undefined, { ref: false }), aborted(stop)]);

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
  using _memory = freeMemoryWhenIdle(() => queue.running() === 0 && intake.settling() === 0);
  const telling = setInterval(() => notifier.status(statusLine(status())), statusEveryMs);
  isReady = true;
  log.info('ready', readyFields(config, principal));
  notifier.status(statusLine(status()));
  notifier.ready();
  try {
    await Promise.race([aborted(stop), intake.scanning, journal.failed]);
  } catch (error) {
    defect.abort();
    throw error;
  } finally {
    clearInterval(telling);
  }
}

/** What is stored rests, too: its row may wait for hours, or be set aside, and another file may take its place. */
function knownOf(known: KnownFile | undefined): Known | undefined {
  if (known === undefined || known.state === 'settling') return undefined;
  const waits = known.state === 'queued' || known.state === 'recorded';
  return waits ? { kind: 'waits' } : { kind: 'rests', identity: known.identity };
}

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
