import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { filesIn } from '../support/daemon-files.ts';
import type { Workplace } from '../support/daemon-workplace.ts';
import { type KeptRunning, keepRunning } from './kept-running.ts';
import { createKnownFiles, type KnownFiles } from './known-files.ts';
import { leaveBehind } from './left-behind.ts';
import { judgeLog } from './log-verdict.ts';
import type { Plan, Timed } from './plan.ts';
import { makeStage, type Stage } from './stage.ts';
import { createTroubles, type Troubles } from './troubles.ts';
import { judge, type Verdict } from './verdict.ts';
import { createWriter } from './writers.ts';

export interface RunOptions {
  /** Against Ceph's gateway instead of the project's own endpoint. */
  readonly ceph: boolean;
  say(line: string): void;
  /** Aborted where the run is given up: it cleans up then, and throws. */
  readonly signal: AbortSignal;
}

/** Back-off waits for a minute at most, a stalled request for as long; some come one after the other. */
const drainMs = 300_000;
/** With nothing new for so long, all is done; kept files show nowhere that they are, so longer than any back-off. */
const quietSeconds = { archive: 10, delete: 10, keep: 70 };
const tellEveryMs = 30_000;

/** Whether all invariants hold; what is needed to look into a failure is left in a folder, which is named. */
export async function runPlan(plan: Plan, { ceph, say, signal }: RunOptions): Promise<boolean> {
  say(`seed ${plan.seed}, ${plan.minutes} minutes, ${JSON.stringify(plan.settings)}`);
  await using stage = await makeStage(plan.settings, { ceph });
  const { place, env } = stage;
  const known = createKnownFiles();
  await using daemon = keepRunning({ spawn: () => place.spawn(env), mayBeRefused: () => troubles.mayBeRefused() });
  const troubles = createTroubles(stage, daemon);

  await storm(plan, { stage, known, daemon, troubles, say, signal });
  const findings: string[] = [];
  const began = Date.now();
  if (!(await drained(place, known, signal))) findings.push(`not all came through within ${drainMs / 1000} s`);
  say(`drained ${Math.round((Date.now() - began) / 1000)} s later`);
  await daemon.stop();
  findings.push(...daemon.findings, ...(await startOnceMore(stage)));
  const verdict = await judge(place, known);
  findings.push(...verdict.findings, ...judgeLog(place.daemons, troubles.secrets()));
  say(summary(known, verdict, place));
  if (findings.length === 0) return true;
  for (const finding of findings.slice(0, 20)) say(`✗ ${finding}`);
  say(`${findings.length} findings; more in ${await leaveBehind({ plan, place, known, findings })}`);
  say(`again: npm run test:chaos -- --seed ${plan.seed} --minutes ${plan.minutes}${ceph ? ' --ceph' : ''}`);
  return false;
}

interface Storm {
  readonly stage: Stage;
  readonly known: KnownFiles;
  readonly daemon: KeptRunning;
  readonly troubles: Troubles;
  readonly signal: AbortSignal;
  say(line: string): void;
}

async function storm(plan: Plan, { stage, known, daemon, troubles, say, signal }: Storm): Promise<void> {
  const { inbox, folder } = stage.place;
  const daemonDeletes = plan.settings.afterUpload === 'delete';
  const beganMs = performance.now();
  const seconds = () => Math.round((performance.now() - beganMs) / 1000);
  const telling = setInterval(() => {
    const uploaded = daemon.daemons.reduce((sum, one) => sum + one.named('uploaded').length, 0);
    say(`${seconds()} s: ${known.all.length} files, ${daemon.daemons.length} starts, ${uploaded} uploaded`);
  }, tellEveryMs);
  const course = async <Act>(acts: readonly Timed<Act>[], perform: (act: Act) => Promise<unknown>): Promise<void> => {
    for (const { atMs, act } of acts) {
      await sleep(Math.max(0, beganMs + atMs - performance.now()), undefined, { signal });
      await perform(act);
    }
  };
  const writers = plan.writers.map(async (acts, index) => {
    const outside = join(folder, 'outside', String(index));
    await mkdir(outside, { recursive: true });
    await course(acts, createWriter({ inbox, outside, known, daemonDeletes }));
  });
  try {
    await Promise.all([...writers, ...plan.troubles.map((acts) => course(acts, troubles.make))]);
  } finally {
    clearInterval(telling);
  }
  say(`quiet after ${seconds()} s`);
}

/** Nothing that should go is in the folder, and no row has come for a while. */
async function drained(place: Workplace, known: KnownFiles, signal: AbortSignal): Promise<boolean> {
  const { database, inbox, config } = place;
  const afterUpload = config.dropFolder?.afterUpload ?? 'archive';
  const until = Date.now() + drainMs;
  let quietRounds = 0;
  let rowsBefore = -1;
  while (Date.now() < until) {
    const { rows } = await database.query('SELECT count(*)::int AS count FROM dropledger.uploads');
    const isEmpty = async () => (await filesIn(inbox)).every((path) => known.ignored.has(path));
    const isQuiet = rows[0].count === rowsBefore && (afterUpload === 'keep' || (await isEmpty()));
    rowsBefore = rows[0].count;
    quietRounds = isQuiet ? quietRounds + 1 : 0;
    if (quietRounds >= quietSeconds[afterUpload]) return true;
    await sleep(1000, undefined, { signal });
  }
  return false;
}

/** There is nothing to do for it, but to abort the multipart uploads that no file wants any more. */
async function startOnceMore({ place, env }: Stage): Promise<string[]> {
  const before = (await place.rows()).length;
  const daemon = await place.start(env);
  await sleep(5000);
  daemon.signal('SIGTERM');
  await daemon.exited;
  const more = (await place.rows()).length - before;
  return more === 0 ? [] : [`${more} rows more after a start with nothing to do`];
}

function summary(known: KnownFiles, { rows, unrecordedObjects }: Verdict, { daemons }: Workplace): string {
  const count = (fate: string) => known.all.filter((file) => file.fate === fate).length;
  const late = known.all.filter(({ isLate }) => isLate).length;
  return [
    `${known.all.length} files (${count('destroyed')} destroyed by writers, ${count('perhaps')} perhaps, ${late} written on too late)`,
    `${rows} rows`,
    `${unrecordedObjects.length} objects without a row, of files that were replaced or taken away`,
    `${daemons.length} starts`,
    `${daemons.reduce((sum, one) => sum + one.lines.length, 0)} lines of log`,
  ].join(', ');
}
