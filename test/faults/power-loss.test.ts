import { describe, expect, test } from 'vitest';
import { expectInvariants } from '../support/daemon-invariants.ts';
import type { LocalStore } from '../support/daemon-store.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { carelessOf } from '../support/faults/careless.ts';
import { type CrashPoint, watchedSteps } from '../support/faults/die-at-point.ts';
import { type MountedDisk, mountDisk, whyNoMounts } from '../support/faults/mounted-disk.ts';
import { usePostgres } from '../support/postgres.ts';

/**
 * The power goes: what was not synced is gone, on the disk of the files and on that of the journal, while S3 and Postgres,
 * which are elsewhere, have all that they acknowledged. Files that were there (synced by who dropped them) and whatever
 * was recorded are where they belong in the end, once.
 */
const postgres = usePostgres();
const mebibyte = 2 ** 20;
const reason = whyNoMounts();

/** Two disks, so that a sync of the one does not write down what was left out on the other. */
interface Machine extends AsyncDisposable {
  readonly place: Workplace<LocalStore>;
  cutPower(): Promise<void>;
  bootAgain(): Promise<void>;
  /** As if whoever dropped files had synced them. */
  syncFiles(): Promise<void>;
}

async function makeMachine(afterUpload: 'archive' | 'delete'): Promise<Machine> {
  await using opened = new AsyncDisposableStack();
  const files: MountedDisk = opened.use(await mountDisk(512));
  const state: MountedDisk = opened.use(await mountDisk(64));
  const config = { dropFolder: { afterUpload, settleMs: 20 }, s3: { partSizeMiB: 5, concurrency: 2 } };
  const place = await makeWorkplace({ postgres, config, disks: { files: files.path, journal: state.path } });
  opened.use(place);
  await files.sync();
  const machine = opened.move();
  return {
    place,
    cutPower: async () => void (await Promise.all([files.cutPower(), state.cutPower()])),
    bootAgain: async () => void (await Promise.all([files.remount(), state.remount()])),
    syncFiles: files.sync,
    [Symbol.asyncDispose]: () => machine.disposeAsync(),
  };
}

async function dropSome({ place, syncFiles }: Machine, round: string): Promise<void> {
  for (let file = 0; file < 4; file += 1) await place.drop(`${round}/${file}.txt`, `content ${file} of ${round}`);
  await place.drop(`large ${round}.bin`, Buffer.alloc(6 * mebibyte, `large ${round}`));
  await place.drop(Buffer.from(`not utf-8 \xff ${round}`, 'latin1'), `refused ${round}`, /not valid UTF-8/);
  await syncFiles();
}

const at = (step: string, when: CrashPoint['when'], nth = 1): CrashPoint => ({ step, when, nth });

/** What is announced must be durable before each of these, or what it did after it. */
const moments: readonly CrashPoint[] = [
  at('PutObject', 'after', 3),
  at('CreateMultipartUpload', 'after', 2),
  at('UploadPart', 'after', 2),
  at('CompleteMultipartUpload', 'after'),
  at('journal commit', 'after', 8),
  at('journal commit', 'after', 20),
  at('journal sync', 'before', 8),
  at('journal sync', 'after', 8),
  at('journal sync', 'before', 20),
  at('ledger insert', 'before'),
  at('ledger insert', 'after'),
  at('write reason', 'after'),
  at('rename', 'after', 2),
  at('fsync', 'before'),
  at('fsync', 'after', 2),
];

describe.skipIf(reason !== undefined)(`the power goes${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test.each(['archive', 'delete'] as const)('%s: at many moments of the work', async (afterUpload) => {
    await using machine = await makeMachine(afterUpload);
    const { place } = machine;
    for (const [index, moment] of moments.entries()) {
      await dropSome(machine, `round ${index}`);
      const daemon = place.spawn(watchedSteps(`${place.folder}/steps`, moment));
      expect(await daemon.exited, JSON.stringify(moment)).toEqual({ code: null, signal: 'SIGKILL' });
      await machine.cutPower();
      await machine.bootAgain();
    }
    await place.start();
    await expectInvariants(place);
  });

  test('after all was done and the daemon was stopped', async () => {
    await using machine = await makeMachine('archive');
    await workAndCutAtTheEnd(machine);
    await machine.place.start();
    await machine.place.drop('later.txt', 'after the power came back');
    await expectInvariants(machine.place);
  });

  test('and is found out if folders are not synced', async () => {
    await using machine = await makeMachine('archive');
    await workAndCutAtTheEnd(machine, carelessOf('folders'));
    await machine.place.start();
    await expect(expectInvariants(machine.place)).rejects.toThrow();
  });

  test.each(['kept', 'found out if the journal is not synced'])('rows that wait for Postgres are %s', async (how) => {
    await using machine = await makeMachine('archive');
    const { place } = machine;
    await dropSome(machine, 'one');
    const daemon = await place.start(how === 'kept' ? {} : carelessOf('journal'));
    await postgres.stop();
    await dropSome(machine, 'two');
    await daemon.waitFor('uploaded', {}, 10);
    await daemon.kill();
    await machine.cutPower();
    await machine.bootAgain();
    await postgres.start();
    await place.start();
    if (how === 'kept') await expectInvariants(place);
    else await expect(expectInvariants(place)).rejects.toThrow();
  });
});

async function workAndCutAtTheEnd(machine: Machine, env = {}): Promise<void> {
  const { place } = machine;
  await dropSome(machine, 'one');
  const daemon = await place.start(env);
  await expectInvariants(place);
  daemon.signal('SIGTERM');
  expect(await daemon.exited).toEqual({ code: 0, signal: null });
  await machine.cutPower();
  await machine.bootAgain();
}
