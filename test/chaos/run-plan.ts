import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Workplace } from '../support/daemon-workplace.ts';
import { untilDrained } from './drained.ts';
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

/** A busy machine may be late with what the plan wants; what is still to come then is left out. */
const mostLateMs = 15_000;
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
  const waiting = await untilDrained(stage, known, signal);
  if (waiting !== undefined) findings.push(waiting);
  say(`${waiting === undefined ? 'drained' : 'given up'} ${Math.round((Date.now() - began) / 1000)} s later`);
  await daemon.stop();
  findings.push(...daemon.findings, ...(await startOnceMore(stage)));
  const verdict = await judge(place, known);
  findings.push(...verdict.findings, ...judgeLog(place.daemons, troubles.secrets()));
  say(summary(known, verdict, place));
  if (findings.length === 0) return true;
  for (const finding of findings.slice(0, 20)) say(`✗ ${finding}`);
  say(`${findings.length} findings; more in ${await leaveBehind({ plan, place, known, findings })}`);
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
      if (performance.now() - beganMs > plan.minutes * 60_000 + mostLateMs) return;
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
