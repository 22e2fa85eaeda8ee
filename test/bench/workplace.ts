/** Folders, ledger and configuration for the daemon under measurement, and the daemon itself as a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type DemoLedger, startDemoLedger } from '../../src/demo/ledger-database.ts';
import { recordingLog } from '../support/recording-log.ts';
import type { LoopDelay } from './loop-delay.ts';
import { type Usage, usageOf } from './process-usage.ts';

export interface Target {
  readonly url: string;
  readonly caFile: string;
}

export interface Workplace extends AsyncDisposable {
  readonly folder: string;
  readonly inbox: string;
  readonly archive: string;
  readonly controlSocket: string;
  /** Rows of the ledger. */
  rows(): Promise<number>;
  query(sql: string): Promise<Record<string, unknown>[]>;
  /** `config`: changes by section. Resolves at once; `ready` of what it gives says more. */
  start(target: Target, config?: Record<string, object>): RunningDaemon;
}

export interface RunningDaemon {
  readonly startedAtMs: number;
  readonly ready: Promise<void>;
  /** `uploaded` lines so far, and when the first came (by `performance.now()`). */
  uploaded(): number;
  firstUploadAtMs(): number | undefined;
  usage(): Usage;
  /** From here on the event loop's delay counts. */
  beginDelay(): void;
  stop(): Promise<LoopDelay>;
}

const loopDelay = new URL('./loop-delay.ts', import.meta.url).href;

const controlSocketName = 'control.sock';

/** `program`: what `packProgram` gave. */
export async function makeWorkplace(parent: string, program: string): Promise<Workplace> {
  const folder = await mkdtemp(join(parent, 'dropledger-bench-'));
  const place = (name: string) => join(folder, name);
  for (const name of ['inbox', 'archive', 'secrets']) await mkdir(place(name));
  const ledger = await startDemoLedger(place('secrets'), recordingLog());
  const reader = new pg.Pool({
    ...{ host: ledger.host, port: ledger.port, database: ledger.database, user: 'dropledger_reader', max: 1 },
    password: await readFile(ledger.readerPasswordFile, 'utf8'),
  });
  const query = async (sql: string) => (await reader.query<Record<string, unknown>>(sql)).rows;
  const running = new Set<ChildProcess>();
  return {
    folder,
    inbox: place('inbox'),
    archive: place('archive'),
    controlSocket: place(controlSocketName),
    query,
    rows: async () => Number((await query('SELECT count(*) AS rows FROM dropledger.uploads'))[0]?.['rows']),
    start(target, changes = {}) {
      const config = configFor(place, ledger, target, changes);
      return startDaemon({ folder, program, config, caFile: target.caFile, running });
    },
    async [Symbol.asyncDispose]() {
      for (const child of running) child.kill('SIGKILL');
      await reader.end();
      await ledger[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The defaults are the product's own, but for what a machine without AWS needs. */
function configFor(
  place: (name: string) => string,
  { host, port, database, writerPasswordFile: passwordFile }: DemoLedger,
  { url: endpoint }: Target,
  changes: Record<string, object>,
): object {
  const config: Record<string, object> = {
    dropFolder: { path: place('inbox'), archivePath: place('archive'), quarantinePath: place('quarantine') },
    s3: { bucket: 'bench', region: 'us-east-1', endpoint, forcePathStyle: true },
    ledger: { host, port, database, user: 'dropledger_writer', auth: 'password', passwordFile, tls: 'off' },
    journal: { path: place('journal.db') },
    control: { socket: place(controlSocketName) },
    log: { format: 'json' },
  };
  return Object.fromEntries(Object.entries(config).map(([name, section]) => [name, { ...section, ...changes[name] }]));
}

interface StartOptions {
  readonly folder: string;
  readonly program: string;
  readonly config: object;
  readonly caFile: string;
  readonly running: Set<ChildProcess>;
}

function startDaemon({ folder, program, config, caFile, running }: StartOptions): RunningDaemon {
  const delayFile = join(folder, 'loop-delay.json');
  const configFile = join(folder, 'config.json');
  const written = writeFile(configFile, JSON.stringify(config));
  const isReady = Promise.withResolvers<void>();
  let count = 0;
  let first: number | undefined;
  let child: ChildProcess | undefined;
  let last: Usage = { cpuSeconds: 0, peakRssMb: 0, rssMb: 0 };
  const startedAtMs = performance.now();

  const launch = async () => {
    await written;
    const env = {
      ...{ PATH: process.env['PATH'], HOME: folder, AWS_ACCESS_KEY_ID: 'AKIDBENCH', AWS_SECRET_ACCESS_KEY: 'secret' },
      ...{
        AWS_CA_BUNDLE: caFile,
        // In place of systemd's CacheDirectory=, which `loop-delay.ts` would come before: it would leave the stripper of types.
        NODE_COMPILE_CACHE: join(program, 'cache'),
        BENCH_LOOP_DELAY_FILE: delayFile,
        NODE_OPTIONS: `--import=${loopDelay} ${process.env['BENCH_NODE_OPTIONS'] ?? ''}`,
      },
    };
    child = spawn(join(program, 'bin/dropledger.js'), ['run', '--config', configFile], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running.add(child);
    child.once('exit', (code) => isReady.reject(new Error(`the daemon ended with ${code}:\n${tail}`)));
    child.stdout?.on('data', read);
  };
  let tail = '';
  const read = (data: Buffer): void => {
    const text = tail + data.toString('latin1');
    const end = text.lastIndexOf('\n') + 1;
    tail = text.slice(end);
    for (let at = text.indexOf('"event":"uploaded"'); at !== -1 && at < end; ) {
      first ??= performance.now();
      count += 1;
      at = text.indexOf('"event":"uploaded"', at + 1);
    }
    if (text.includes('"event":"ready"')) isReady.resolve();
    if (/"level":"(error|warning)"/.test(text)) complain(text.slice(0, end));
  };
  isReady.promise.catch(() => {}); // whoever waits for it is told
  void launch();
  return {
    startedAtMs,
    ready: isReady.promise,
    uploaded: () => count,
    firstUploadAtMs: () => first,
    usage() {
      last = usageOf(child?.pid ?? 0) ?? last;
      return last;
    },
    beginDelay: () => void child?.kill('SIGUSR2'),
    async stop() {
      if (child === undefined) throw new Error('not started');
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      running.delete(child);
      return JSON.parse(await readFile(delayFile, 'utf8')) as LoopDelay;
    },
  };
}

/** The bench is no test, but what goes wrong in it must be seen. */
function complain(text: string): void {
  for (const line of text.split('\n')) {
    if (/"level":"(error|warning)"/.test(line) && !line.includes('confirms no checksums')) console.error(line);
  }
}

/** Moves a folder of finished files in, waits until all are recorded and archived, and takes it out again. */
export async function passThrough(
  { inbox, archive, rows }: Workplace,
  files: { readonly folder: string; readonly count: number },
  name: string,
): Promise<number> {
  const before = await rows();
  const began = performance.now();
  await rename(files.folder, join(inbox, name));
  await reached(async () => (await rows()) >= before + files.count);
  await reached(async () => (await filesIn(join(inbox, name))) === 0);
  const seconds = (performance.now() - began) / 1000;
  await rename(join(archive, name), files.folder);
  await rm(join(inbox, name), { recursive: true });
  return seconds;
}

const filesIn = async (folder: string): Promise<number> =>
  (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length;

export async function reached(condition: () => Promise<boolean> | boolean, everyMs = 50): Promise<void> {
  while (!(await condition())) await sleep(everyMs);
}
