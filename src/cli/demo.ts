import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { runDaemon } from '../daemon.ts';
import { type DemoLedger, startDemoLedger } from '../demo/ledger-database.ts';
import { startS3Endpoint } from '../demo/s3-endpoint/index.ts';
import { dropSamples, sampleCount } from '../demo/samples.ts';
import { createLedgerPool } from '../ledger/pool.ts';
import { createLedgerReader, type RecordedRow } from '../ledger/reader.ts';
import { exitCode, LocalFailure } from '../service/errors.ts';
import { createLogger, describeDestination, type Logger } from '../service/logger.ts';
import type { Notifier } from '../service/systemd.ts';
import type { Command, GivenOptions, Surroundings } from './command.ts';
import { ledgerTable } from './ledger-table.ts';

const accessKeyId = 'AKIADEMODEMODEMODEMO';
const secretAccessKey = 'demo-secret-for-loopback-only';
const bucket = 'demo-bucket';
const region = 'eu-west-1';
const samplesTimeoutMs = 60_000;

export const demo: Command = {
  details: `Starts an embedded Postgres and an S3 endpoint on loopback, drops sample files, prints the ledger, and stays up with
the folder open until Ctrl-C, which cleans everything up.`,
  options: { once: { describe: 'end when the samples are in the ledger, with exit code 0' } },

  async run(given: GivenOptions, around: Surroundings): Promise<number> {
    const stop = new AbortController();
    const graceOver = new AbortController();
    const onStop = () => (stop.signal.aborted ? graceOver : stop).abort(new Error('stopped by a signal'));
    around.onSignal('SIGINT', onStop);
    around.onSignal('SIGTERM', onStop);
    around.onSignal('SIGHUP', onStop);

    await using places = await makePlaces();
    const log = demoLog(around);
    const say = (text: string) => {
      log.flush();
      around.stdout.write(text);
    };
    say('Starting Postgres and an S3 endpoint on this machine …\n');
    await using endpoint = await startS3Endpoint({
      directory: places.s3,
      region,
      buckets: [bucket],
      credentials: [{ accessKeyId, secretAccessKey, role: 'write-only', prefix: 'inbox/' }],
    });
    await using ledger = await startDemoLedger(places.secrets, log);
    const config = await writeConfig(places, endpoint.url, ledger);
    useDemoCredentials(around, endpoint.url);

    const { notifier, isReady } = readiness();
    const { env } = around;
    const signals = { stop: stop.signal, graceOver: graceOver.signal, onReload: () => {} };
    const running = runDaemon(config, { env, log, notifier, ...signals });
    try {
      await Promise.race([isReady, running]);
      const rows = await samplesRecorded({ config, ledger, log, places, running, stop: stop.signal });
      if (rows !== undefined) say(`\nThe ledger (table dropledger.uploads):\n\n${ledgerTable(rows)}\n`);
      if (given['once'] !== true && !stop.signal.aborted) {
        say(invitation(places, ledger));
        await Promise.race([running, aborted(stop.signal)]);
        say('\nStopping …\n');
      }
    } finally {
      stop.abort(new Error('the demo ends'));
      await running;
    }
    return exitCode.fine;
  },
};

interface Places extends AsyncDisposable {
  readonly top: string;
  readonly inbox: string;
  readonly archive: string;
  readonly quarantine: string;
  readonly s3: string;
  readonly secrets: string;
}

async function makePlaces(): Promise<Places> {
  const top = await mkdtemp(join(tmpdir(), 'dropledger-demo-'));
  const folder = (name: string) => join(top, name);
  const folders = {
    inbox: folder('inbox'),
    archive: folder('archive'),
    quarantine: folder('quarantine'),
    s3: folder('s3'),
    secrets: folder('secrets'),
  };
  for (const path of Object.values(folders)) await mkdir(path, { mode: 0o700 });
  return { top, ...folders, [Symbol.asyncDispose]: () => rm(top, { recursive: true, force: true }) };
}

async function writeConfig(places: Places, endpoint: string, ledger: DemoLedger): Promise<Config> {
  const file = join(places.top, 'config.json');
  const { host, port, database, writerPasswordFile, readerPasswordFile } = ledger;
  const text = JSON.stringify(
    {
      dropFolder: {
        path: places.inbox,
        settleMs: 500,
        rescanSeconds: 5,
        archivePath: places.archive,
        quarantinePath: places.quarantine,
      },
      s3: { bucket, prefix: 'inbox/', region, endpoint, forcePathStyle: true },
      ledger: {
        host,
        port,
        database,
        user: 'dropledger_writer',
        auth: 'password',
        passwordFile: writerPasswordFile,
        readerUser: 'dropledger_reader',
        readerPasswordFile,
        tls: 'off',
      },
      journal: { path: join(places.top, 'journal.db') },
      control: { socket: join(places.top, 'control.sock') },
    },
    null,
    2,
  );
  await writeFile(file, `${text}\n`);
  return parseConfig(file, text);
}

/** The endpoint's own keys and nobody else's: whatever login this shell has is left alone. */
function useDemoCredentials({ env }: Surroundings, endpoint: string): void {
  // the SDK reads the real one
  for (const name of ['AWS_PROFILE', 'AWS_SESSION_TOKEN', 'AWS_CA_BUNDLE']) delete env[name];
  Object.assign(env, {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_ENDPOINT_URL_STS: endpoint,
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
  });
}

/** Pretty, whether or not somebody watches: a demo is for reading. */
const demoLog = (around: Surroundings): Logger => {
  const { colours } = describeDestination(1, around.stdout.isTTY === true, around.env);
  return createLogger({ level: 'info', format: 'auto', destination: { fd: 1, kind: 'terminal', colours } });
};

function readiness(): { notifier: Notifier; isReady: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const silent = () => {};
  const notifier: Notifier = {
    channel: 'none',
    ready: resolve,
    status: silent,
    stopping: silent,
    reloading: silent,
    extendTimeout: silent,
    [Symbol.asyncDispose]: async () => {},
  };
  return { notifier, isReady: promise };
}

interface Watching {
  readonly config: Config;
  readonly ledger: DemoLedger;
  readonly log: Logger;
  readonly places: Places;
  readonly running: Promise<void>;
  readonly stop: AbortSignal;
}

/** Drops the samples and waits for their rows; undefined where it was stopped before. */
async function samplesRecorded({
  config,
  ledger,
  log,
  places,
  running,
  stop,
}: Watching): Promise<RecordedRow[] | undefined> {
  const { host, port, database, readerPasswordFile } = ledger;
  const { tls } = config.ledger;
  const login = {
    host,
    port,
    database,
    user: 'dropledger_reader',
    auth: 'password',
    tls,
    region,
    caFile: undefined,
  } as const;
  await using pool = createLedgerPool({ ...login, passwordFile: readerPasswordFile, log });
  const reader = createLedgerReader(pool);
  await dropSamples(places.inbox);
  const deadline = Date.now() + samplesTimeoutMs;
  while (!stop.aborted) {
    const rows = await reader.list({}, 100);
    if (rows.length >= sampleCount) return rows;
    if (Date.now() > deadline)
      throw new LocalFailure(`only ${rows.length} of ${sampleCount} samples are in the ledger`);
    await Promise.race([sleep(100), running]);
  }
  return undefined;
}

const invitation = (places: Places, { host, port, database, readerPasswordFile }: DemoLedger) => `
Now drop files of your own into
  ${places.inbox}
and see them arrive, as plain files, in
  ${join(places.s3, bucket)}
What cannot be uploaded is in ${places.quarantine}, with a reason beside it.

See it at work, and ask the ledger, from another terminal:
  bin/dropledger.js status --watch --config ${join(places.top, 'config.json')}
  bin/dropledger.js ledger list --config ${join(places.top, 'config.json')}
or in SQL, if psql is installed:
  PGPASSWORD=$(cat ${readerPasswordFile}) psql -h ${host} -p ${port} -U dropledger_reader ${database} \\
    -c 'SELECT recorded_at, status, size_bytes, path FROM dropledger.uploads ORDER BY recorded_at'

Ctrl-C stops everything and removes ${places.top}.
`;

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
