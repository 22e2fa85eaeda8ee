/** What is going to happen in a run: everything is decided here, before it begins, from the seed alone. */
import { createRandom, type Random } from './random.ts';
import { type Trouble, troublesFor } from './trouble-plan.ts';
import { type WriterAct, writersFor } from './writer-plan.ts';

export interface Settings {
  readonly onConflict: 'keep-both' | 'overwrite' | 'fail';
  /** `key`: a long-lived one. `session`: a temporary one in the file. `agent`: short sessions, handed out by HTTP. */
  readonly login: 'key' | 'session' | 'agent';
  readonly afterUpload: 'archive' | 'delete' | 'keep';
  readonly engine: 'native' | 'lib-storage';
  readonly settleMs: number;
  readonly rescanSeconds: number;
  readonly concurrency: number;
}

export interface Timed<Act> {
  /** After the beginning. */
  readonly atMs: number;
  readonly act: Act;
}

export interface Plan {
  readonly seed: number;
  readonly minutes: number;
  readonly settings: Settings;
  /** Each writer's acts, one after the other. */
  readonly writers: readonly (readonly Timed<WriterAct>[])[];
  /** Each in its own course; they overlap. */
  readonly troubles: readonly (readonly Timed<Trouble>[])[];
}

export interface PlanOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Whether the S3 server is the project's own: it can be told to lose answers and to forget a login. */
  readonly ownStore: boolean;
}

export function makePlan({ seed, minutes, ownStore }: PlanOptions): Plan {
  const random = createRandom(seed);
  const settings = settingsFrom(random, ownStore);
  const durationMs = minutes * 60_000;
  return {
    ...{ seed, minutes, settings },
    writers: writersFor(random, { durationMs, settleMs: settings.settleMs }),
    troubles: troublesFor(random, { durationMs, ownStore }),
  };
}

const settingsFrom = (random: Random, ownStore: boolean): Settings => ({
  onConflict: random.weighted([
    [4, 'keep-both'],
    [2, 'overwrite'],
    [2, 'fail'],
  ]),
  login: ownStore ? random.pick(['key', 'session', 'agent']) : 'key',
  afterUpload: random.weighted([
    [4, 'archive'],
    [3, 'delete'],
    [3, 'keep'],
  ]),
  engine: random.weighted([
    [3, 'native'],
    [1, 'lib-storage'],
  ]),
  settleMs: random.pick([200, 400, 800]),
  rescanSeconds: random.pick([1, 2, 5]),
  concurrency: random.pick([2, 8, 16]),
});

/** One line an act, in the order of time. */
export function planText({ seed, minutes, settings, writers, troubles }: Plan): string {
  const lines = [
    ...writers.flatMap((acts, index) => acts.map((timed) => ({ ...timed, who: `writer ${index}` }))),
    ...troubles.flatMap((acts) => acts.map((timed) => ({ ...timed, who: 'trouble' }))),
  ].toSorted((one, other) => one.atMs - other.atMs);
  return [
    `seed ${seed}, ${minutes} minutes, ${JSON.stringify(settings)}`,
    ...lines.map(
      ({ atMs, who, act }) => `${(atMs / 1000).toFixed(3).padStart(9)} ${who.padEnd(9)} ${JSON.stringify(act)}`,
    ),
    '',
  ].join('\n');
}
