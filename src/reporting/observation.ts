/** How a running daemon is looked at from outside: over its control socket, and by its metrics. */
import { dirname } from 'node:path';
import type { CredentialState } from '../aws/credentials.ts';
import { controlSocket, journalPath } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import type { DaemonReport } from '../control/protocol.ts';
import { openControl } from '../control/server.ts';
import type { Folders } from '../drop-folder/folders.ts';
import type { ScanReport } from '../drop-folder/intake.ts';
import { countQuarantined } from '../drop-folder/quarantine.ts';
import type { Journal } from '../journal/journal.ts';
import type { Outbox } from '../ledger/outbox.ts';
import type { EventLog, RelativePath } from '../model.ts';
import type { Outage } from '../queue/upload-gate.ts';
import { listenAddress } from '../service/listen-address.ts';
import { createControlAnswers } from './control-answers.ts';
import { daemonReport } from './daemon-report.ts';
import type { LiveState } from './live-state.ts';
import { createQuarantineCount } from './quarantine-count.ts';

export interface ObservedDaemon {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: EventLog;
  readonly instance: string;
  /** Of object keys, with the host's name filled in. */
  readonly prefix: string;
  readonly liveState: LiveState;
  readonly journal: Journal;
  readonly folders: Folders;
  readonly intake: {
    offer(path: RelativePath): void;
    observing(path: RelativePath): Date | undefined;
    ignoredBy(path: RelativePath): string | undefined;
    settling(): number;
    lastScan(): ScanReport | undefined;
  };
  outage(): Outage | undefined;
  outboxState(): ReturnType<Outbox['state']>;
  rescanSeconds(): number;
  credentials(): Promise<CredentialState>;
  principal(): string | null;
  phase(): DaemonReport['phase'];
}

/** Opened once all parts are there, and closed after most of them have gone: a daemon that stops can be asked, too. */
export function createObservation() {
  const opened = new AsyncDisposableStack();
  return {
    async open(daemon: ObservedDaemon): Promise<void> {
      const { config, env, log, liveState, journal, folders, intake } = daemon;
      const quarantined = createQuarantineCount((most) => countQuarantined(folders.quarantine, most));
      quarantined(); // known by the time somebody asks
      const report = () =>
        daemonReport({
          ...daemon,
          pid: process.pid,
          settling: intake.settling,
          lastScan: intake.lastScan,
          quarantined,
        });
      const explaining = {
        folders,
        intake,
        liveState,
        settleMs: config.dropFolder.settleMs,
        rescanSeconds: daemon.rescanSeconds,
        historyOf: journal.historyOf,
        paused: () => daemon.outage()?.error.message,
        ledgerDown: () => daemon.outboxState().reason,
      };
      const answer = createControlAnswers({ report, explaining, folders, log, offer: intake.offer });
      opened.use(await openControl({ path: controlSocket(config, env), log, answer }));
      const address = config.metrics.listen === undefined ? undefined : listenAddress(config.metrics.listen);
      if (address === undefined) return;
      // Loaded by those who want it: it takes memory.
      const { openMetrics } = await import('../metrics/server.ts');
      const places = {
        journal: dirname(journalPath(config, env)),
        quarantine: config.dropFolder.quarantinePath,
        ...(folders.archive !== undefined && { archive: folders.archive.path.toString() }),
      };
      opened.use(await openMetrics({ address, log, report, observe: liveState.observe, places }));
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
