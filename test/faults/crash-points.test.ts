import { appendFile, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import type { Daemon } from '../support/daemon.ts';
import { sha256Of } from '../support/daemon-files.ts';
import { expectAllDone, expectInvariants } from '../support/daemon-invariants.ts';
import type { LocalStore } from '../support/daemon-store.ts';
import { type ConfigChanges, makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { type CrashPoint, watchedSteps } from '../support/faults/die-at-point.ts';
import { usePostgres } from '../support/postgres.ts';

/**
 * `kill -9` in front of and behind every durable step. A start of the daemon takes up what the one before it left, gets a
 * file of every fate, and is killed at a point of its own; in the end, and now and then, nothing is lost and nothing is
 * there twice. All 430 points take twenty minutes (DROPLEDGER_CRASH_POINTS=all); else each kind of step is cut once.
 */
const postgres = usePostgres();
const mebibyte = 2 ** 20;
const all = process.env['DROPLEDGER_CRASH_POINTS'] === 'all';

/** Steps that a run must come past, or it would prove too little. */
const stepsOfUploads = [
  'journal commit',
  'PutObject',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
  'ledger insert',
  'create',
  'rename',
  'link',
  'mkdir',
  'fsync',
  'write reason',
  'rmdir',
];

const isRequest = (step: string): boolean => /^[A-Z]|^ledger/.test(step);
const isOnFiles = ({ step }: CrashPoint): boolean => step !== 'journal commit' && !isRequest(step);

/** Requests are what they are under `archive`; and deleted files wait in a folder that is made but once. */
const isTheSame = (step: string): boolean => isRequest(step) || step === 'mkdir';

test.concurrent.each([
  ['archive', stepsOfUploads],
  ['delete', [...stepsOfUploads, 'unlink']],
] as const)(
  '%s: a kill in front of and behind each step',
  async (afterUpload, steps) => {
    const config: ConfigChanges = {
      dropFolder: { afterUpload, settleMs: 20, removeEmptyFoldersAfterHours: 0.00001 },
      s3: { partSizeMiB: 5, concurrency: 2 },
    };
    await using place = await makeWorkplace({ postgres, config });
    appendWhileSent(place);
    const points = await pointsOf(place);
    expect([...new Set(points.map(({ step }) => step))]).toEqual(expect.arrayContaining([...steps]));

    const unreached: CrashPoint[] = [];
    const chosen = all
      ? points
      : oneOfEachKind(points.filter(({ step }) => afterUpload === 'archive' || !isTheSame(step)));
    for (const [index, point] of chosen.entries()) {
      if (!(await diesAt(place, point, `${index}`))) unreached.push(point);
      if (index % 20 === 19) await endsWell(place);
    }
    await endsWell(place);
    console.log(`${afterUpload}: ${chosen.length - unreached.length} of ${chosen.length} points`);
    // how many batches the work with files is done in differs from start to start
    expect(unreached.length).toBeLessThanOrEqual(chosen.length / (all ? 5 : 10));
  },
  all ? 3_600_000 : 300_000,
);

/** A start that is not killed comes past all points: they are its notes. */
async function pointsOf(place: Workplace<LocalStore>): Promise<CrashPoint[]> {
  await dropLargeOnes(place, 'first');
  await dropSmallOnes(place, 'first');
  const notes = join(place.folder, 'all-steps');
  const daemon = await place.start(watchedSteps(notes));
  await stopOrDie(place, daemon);
  // the folders that were emptied are removed at the next start
  await stopOrDie(place, await place.start(watchedSteps(notes)));
  const lines = (await readFile(notes, 'utf8')).trim().split('\n');
  const points = new Map(lines.map((line) => [line, JSON.parse(line) as CrashPoint]));
  return [...points.values()];
}

/**
 * One of each kind of step, in front of it, behind it, and with the request on its way: the middle one; of those with
 * files, whose number differs from run to run as they are done in batches, the first.
 */
function oneOfEachKind(points: readonly CrashPoint[]): CrashPoint[] {
  const kinds = Map.groupBy(points, ({ step, when }) => `${step} ${when}`);
  return [...kinds.values()].map((kind) => kind[isOnFiles(kind[0] as CrashPoint) ? 0 : kind.length >> 1] as CrashPoint);
}

/** Whether it was killed there, and not stopped once all was done; a second time, where it did not come past. */
async function diesAt(place: Workplace<LocalStore>, point: CrashPoint, name: string): Promise<boolean> {
  for (const round of [name, `${name}b`]) {
    if (!isOnFiles(point)) await dropLargeOnes(place, round);
    await dropSmallOnes(place, round);
    const daemon = place.spawn(watchedSteps(join(place.folder, 'steps'), point));
    if (await stopOrDie(place, daemon)) return true;
  }
  return false;
}

async function stopOrDie(place: Workplace, daemon: Daemon): Promise<boolean> {
  let ended = false;
  const end = daemon.exited.finally(() => {
    ended = true;
  });
  const isDone = () =>
    expectAllDone(place).then(
      () => true,
      () => false,
    );
  while (!ended && !(await isDone())) await Promise.race([end, sleep(100)]);
  daemon.signal('SIGTERM');
  const { code, signal } = await end;
  if (signal === null) expect(code).toBe(0);
  return signal === 'SIGKILL';
}

async function endsWell(place: Workplace): Promise<void> {
  const daemon = await place.start();
  await expectInvariants(place);
  await daemon.kill();
}

/** Put, in a folder of its own, refused, dropped again, replaced by a newer one. */
async function dropSmallOnes(place: Workplace, round: string): Promise<void> {
  await place.drop(`small ${round}.txt`, `small ${round}`);
  await place.drop(`folder ${round}/deep/other.txt`, `other ${round}`);
  await place.drop(Buffer.from(`not utf-8 \xff ${round}`, 'latin1'), `refused ${round}`, /not valid UTF-8/);
  if (await isFree(place, 'again.txt')) await place.drop('again.txt', 'the same content');
  if (await isFree(place, 'newer.txt')) await place.drop('newer.txt', `content ${round}`);
}

/** Sent in parts; and changed while that is done. */
async function dropLargeOnes(place: Workplace, round: string): Promise<void> {
  await place.drop(`large ${round}.bin`, Buffer.alloc(6 * mebibyte, `large ${round}`));
  await dropChanging(place, `changing ${round}.bin`);
}

const isFree = async ({ inbox }: Workplace, name: string): Promise<boolean> =>
  (await stat(join(inbox, name)).catch(() => undefined)) === undefined;

/** What somebody appends to it when its first part is sent. */
const more = 'and more';

async function dropChanging(place: Workplace, name: string): Promise<void> {
  const before = Buffer.alloc(6 * mebibyte, name);
  const whole = Buffer.concat([before, Buffer.from(more)]);
  place.note({ path: pathFromText(name), size: whole.length, sha256: sha256Of(whole), rejected: undefined });
  await writeFile(join(place.folder, name), before);
  await rename(join(place.folder, name), join(place.inbox, name));
}

function appendWhileSent({ store, inbox }: Workplace<LocalStore>): void {
  const changed = new Set<string>();
  store.faults = async ({ operation, key }) => {
    if (operation === 'UploadPart' && key.startsWith('in/changing') && !changed.has(key)) {
      changed.add(key);
      await appendFile(join(inbox, key.slice('in/'.length)), more);
    }
    return undefined;
  };
}
