import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ceph, startCeph } from '../support/ceph.ts';
import { filesIn } from '../support/daemon-files.ts';
import type { LocalStore, Store } from '../support/daemon-store.ts';
import { makeWorkplace, makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { startTestPostgres } from '../support/postgres.ts';
import { keepRunning } from './kept-running.ts';
import { createKnownFiles, type KnownFiles } from './known-files.ts';
import { judgeLife, judgeLog } from './log-verdict.ts';
import { startNetworkWeather } from './network-weather.ts';
import { type Plan, planText, type Timed } from './plan.ts';
import { createTroubles } from './troubles.ts';
import { judge } from './verdict.ts';
import { partSizeMiB } from './writer-plan.ts';
import { createWriter } from './writers.ts';

export interface RunOptions {
  /** Against Ceph's gateway instead of the project's own endpoint. */
  readonly ceph: boolean;
  say(line: string): void;
}

/** Back-off waits for a minute at most, a stalled request for as long; some come one after the other. */
const drainMs = 300_000;

/** Whether all invariants hold; what is needed to look into a failure is left in a folder, which is named. */
export async function runPlan(plan: Plan, { ceph: useCeph, say }: RunOptions): Promise<boolean> {
  say(`seed ${plan.seed}, ${plan.minutes} minutes, ${JSON.stringify(plan.settings)}`);
  await using postgres = await startTestPostgres({ tcp: true });
  await using ceph = useCeph ? await startCeph({ writeOnlyPrefix: 'in/' }) : undefined;
  const config = {
    dropFolder: {
      afterUpload: plan.settings.afterUpload,
      settleMs: plan.settings.settleMs,
      rescanSeconds: plan.settings.rescanSeconds,
    },
    s3: { engine: plan.settings.engine, concurrency: plan.settings.concurrency, partSizeMiB },
  };
  await using place: Workplace<Store | LocalStore> =
    ceph === undefined
      ? await makeWorkplace({ postgres, config })
      : await makeWorkplaceAt(await cephStore(ceph), { postgres, config });
  const s3Port = Number(new URL(place.store.url).port);
  await using s3 = await startNetworkWeather(() => s3Port);
  await using ledger = await startNetworkWeather(() => postgres.tcpPort ?? 0);
  const s3Url = `http://127.0.0.1:${s3.port}`;
  await place.configure({ s3: { endpoint: s3Url }, ledger: { host: '127.0.0.1', port: ledger.port } });

  const outside = join(place.folder, 'outside');
  await mkdir(outside);
  const known = createKnownFiles();
  const { inbox } = place;
  const daemonDeletes = plan.settings.afterUpload === 'delete';
  const started = Date.now();
  const daemon = keepRunning({
    spawn: () => place.spawn(ceph === undefined ? { AWS_ENDPOINT_URL_STS: s3Url } : {}),
    mayBeRefused: () => troubles.mayBeRefused(),
  });
  const server =
    'stop' in place.store ? place.store : { stop: async () => ceph?.restartGateway(), start: async () => undefined };
  const troubles = createTroubles({ place, postgres, server, network: { s3, ledger }, daemon });

  const course = async <Act>(acts: readonly Timed<Act>[], act: (what: Act) => Promise<void>): Promise<void> => {
    for (const { atMs, act: what } of acts) {
      await sleep(Math.max(0, started + atMs - Date.now()));
      await act(what);
    }
  };
  const telling = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000);
    say(`${seconds} s: ${known.all.length} files written, ${daemon.daemons.length} starts, ${uploaded(daemon)} uploaded`);
  }, 30_000);
  const findings: string[] = [];
  try {
    const writers = plan.writers.map(async (acts, index) => {
      const own = join(outside, String(index));
      await mkdir(own);
      return course(acts, createWriter({ inbox, outside: own, known, daemonDeletes }));
    });
    await Promise.all([...writers, ...plan.troubles.map((acts) => course(acts, troubles.make))]);
    const quietAt = Date.now();
    const isDrained = await drained(place, known, drainMs);
    say(`quiet after ${Math.round((quietAt - started) / 1000)} s, drained ${Math.round((Date.now() - quietAt) / 1000)} s later`);
    if (!isDrained) findings.push(`not all came through within ${drainMs / 1000} s`);
    await daemon.stop();
    findings.push(...daemon.findings);
    const rowsBefore = (await place.rows()).length;
    await oncemore(place, ceph === undefined ? { AWS_ENDPOINT_URL_STS: s3Url } : {});
    const rowsAfter = (await place.rows()).length;
    if (rowsAfter !== rowsBefore) findings.push(`${rowsAfter - rowsBefore} rows more after a start with nothing to do`);
  } finally {
    clearInterval(telling);
  }
  const verdict = await judge(place, known);
  const lines = place.daemons.flatMap((one) => [...one.lines]);
  findings.push(...verdict.findings, ...judgeLog(lines));
  for (const one of place.daemons) findings.push(...judgeLife(one.lines, 20));
  const secrets = [...troubles.secrets(), place.store.owner.secretAccessKey, 'X-Amz-Signature'];
  if (place.daemons.some((one) => secrets.some((secret) => one.output().includes(secret)))) findings.push('a secret in the log');
  tellCounts(known, verdict, lines.length, place.daemons.length, say);
  if (findings.length > 0) await leaveBehind(plan, place, known, findings, say);
  return findings.length === 0;
}

const uploaded = (daemon: { daemons: readonly { named(event: 'uploaded'): unknown[] }[] }): number =>
  daemon.daemons.reduce((sum, one) => sum + one.named('uploaded').length, 0);

async function cephStore(ceph: Ceph): Promise<Store> {
  await ceph.createBucket('chaos');
  const { url, region, owner, writeOnly } = ceph;
  return { url, region, bucket: 'chaos', prefix: 'in/', owner, writer: writeOnly };
}

/** Nothing that should go is in the folder, and every file that is whole has its row. */
async function drained(place: Workplace, known: KnownFiles, patienceMs: number): Promise<boolean> {
  const kept = place.config.dropFolder?.afterUpload === 'keep';
  const until = Date.now() + patienceMs;
  let quietRounds = 0;
  let rowsBefore = -1;
  while (Date.now() < until) {
    const { rows } = await place.database.query('SELECT count(*)::int AS count FROM dropledger.uploads');
    const waiting = (await filesIn(place.inbox)).filter((path) => !known.ignored.has(path));
    const isQuiet = rows[0].count === rowsBefore && (kept || waiting.length === 0);
    rowsBefore = rows[0].count;
    quietRounds = isQuiet ? quietRounds + 1 : 0;
    // kept files show nowhere that they are done: nothing must have moved for longer than any back-off
    if (quietRounds >= (kept ? 70 : 10)) return true;
    await sleep(1000);
  }
  return false;
}

/** A start with nothing to do; it also aborts the multipart uploads that no file wants. */
async function oncemore(place: Workplace, env: Record<string, string>): Promise<void> {
  const daemon = await place.start(env);
  await sleep(5000);
  daemon.signal('SIGTERM');
  await daemon.exited;
}

function tellCounts(
  known: KnownFiles,
  { rows, unrecordedObjects }: { rows: number; unrecordedObjects: readonly string[] },
  lines: number,
  starts: number,
  say: RunOptions['say'],
): void {
  const by = (fate: string) => known.all.filter((file) => file.fate === fate).length;
  const late = known.all.filter(({ isLate }) => isLate).length;
  say(
    `${known.all.length} files (${by('destroyed')} destroyed by writers, ${by('perhaps')} perhaps, ${late} written on too late), ` +
      `${rows} rows, ${starts} starts, ${lines} log lines, ${unrecordedObjects.length} objects of replaced files without a row`,
  );
}

async function leaveBehind(
  plan: Plan,
  place: Workplace,
  known: KnownFiles,
  findings: readonly string[],
  say: RunOptions['say'],
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), `dropledger-chaos-seed-${plan.seed}-`));
  const { cp } = await import('node:fs/promises');
  await writeFile(join(folder, 'findings.txt'), findings.join('\n'));
  await writeFile(join(folder, 'plan.txt'), planText(plan));
  await writeFile(join(folder, 'daemons.log'), place.daemons.map((one) => one.output()).join('\n'));
  await writeFile(join(folder, 'rows.json'), (await place.rows()).map((row) => JSON.stringify(row)).join('\n'));
  const { filter } = { filter: (_: string, value: unknown) => (value instanceof RegExp ? String(value) : value) };
  await writeFile(join(folder, 'known.json'), known.all.map((file) => JSON.stringify(file, filter)).join('\n'));
  await cp(String(place.config.journal?.path), join(folder, 'journal.db'));
  for (const finding of findings.slice(0, 20)) say(`✗ ${finding}`);
  if (findings.length > 20) say(`… and ${findings.length - 20} more`);
  say(`${findings.length} findings. Again: npm run test:chaos -- --seed ${plan.seed} --minutes ${plan.minutes}. See ${folder}`);
}
