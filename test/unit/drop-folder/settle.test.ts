import { rm, utimes, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { identityAt, openFolder } from '../../../src/drop-folder/folder.ts';
import { createSettler, type SettleOptions } from '../../../src/drop-folder/settle.ts';
import type { FileIdentity, RelativePath, SettledFile } from '../../../src/model.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';
import { identityOf } from '../../support/test-journal.ts';

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const path = pathFromText('file');
const future = 9_000_000_000_000_000_000n;

/** A settler over the real folder, and what it handed over. */
async function open(options: Partial<SettleOptions> = {}) {
  const settled: SettledFile[] = [];
  const errors: unknown[] = [];
  let looks = 0;
  const opened = await openFolder(folder.path, 'folder');
  const { look = (at: RelativePath) => identityAt(opened, at) } = options;
  const settler = createSettler({
    settleMs: 150,
    trustTimes: true,
    onSettled: async (files) => void settled.push(...files),
    onError: (error) => errors.push(error),
    ...options,
    look: (at) => {
      looks += 1;
      return look(at);
    },
  });
  return { settler, settled, errors, looks: () => looks, identity: () => identityAt(opened, path) };
}

test('settleMs 0: a file is complete as soon as it is seen', async () => {
  await writeFile(folder.at('file'), 'x');
  const { settler, settled, looks } = await open({ settleMs: 0 });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settled.length).toBe(1);
  expect(looks()).toBe(1);
});

test('a file whose times are old has rested already', async () => {
  await writeFile(folder.at('file'), 'x');
  const old: FileIdentity = { ino: 1n, size: 1, mtimeNs: 1n, ctimeNs: 1n };
  const { settler, settled } = await open({ settleMs: 3_600_000, look: async () => old });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settled.length).toBe(1);
});

test('an old mtime alone is not enough: a file that was just moved in has a fresh ctime', async () => {
  await writeFile(folder.at('file'), 'x');
  await utimes(folder.at('file'), 1, 1);
  const { settler, settled, looks } = await open({ settleMs: 3_600_000 });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => looks()).toBe(1);
  await expect.poll(() => settler.observing(path)).toBeDefined();
  expect(settled).toEqual([]);
});

test('where times cannot be trusted, an old file is observed all the same', async () => {
  const old: FileIdentity = { ino: 1n, size: 1, mtimeNs: 1n, ctimeNs: 1n };
  const { settler, settled, looks } = await open({ trustTimes: false, look: async () => old, settleMs: 100 });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settler.observing(path)).toBeDefined();
  expect(settled).toEqual([]);
  await expect.poll(() => settled.length).toBe(1);
  expect(looks()).toBeLessThanOrEqual(2);
});

/** What looks at a file come upon, one after the other; the last for good. */
const seenAs = (...identities: readonly (FileIdentity | undefined)[]) => {
  let at = -1;
  return async () => {
    at = Math.min(at + 1, identities.length - 1);
    return identities[at];
  };
};

test.each([
  ['grows', (round: number) => ({ size: round })],
  ['is written to in place', (round: number) => ({ mtimeNs: BigInt(round) })],
  ['is replaced by a rename', (round: number) => ({ ino: BigInt(round) })],
  ['is touched', (round: number) => ({ ctimeNs: BigInt(round) })],
])('a file that %s must come to rest anew, and is what it is then', async (_how, changed) => {
  const fresh = identityOf({ content: 0 });
  const rounds = [1, 2, 3, 4, 5].map((round) => ({ ...fresh, mtimeNs: future, ...changed(round) }));
  const { settler, settled, looks } = await open({ settleMs: 40, look: seenAs(...rounds), trustTimes: false });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settled.map(({ identity }) => identity)).toEqual([rounds.at(-1)]);
  expect(looks()).toBeGreaterThan(rounds.length);
});

test('an mtime in the future does not hold a file up', async () => {
  await writeFile(folder.at('file'), 'x');
  await utimes(folder.at('file'), 4_000_000_000, 4_000_000_000);
  const { settler, settled } = await open();
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settled.length).toBe(1);
});

test('a clock that is set back does not hold a file up', async () => {
  await writeFile(folder.at('file'), 'x');
  const { settler, settled } = await open();
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settler.observing(path)).toBeDefined();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 });
  try {
    await expect.poll(() => settled.length).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});

test('a file that vanishes while it rests is dropped, and none is observed for ever', async () => {
  await writeFile(folder.at('file'), 'x');
  const { settler, settled } = await open({ settleMs: 60 });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => settler.observing(path)).toBeDefined();
  await rm(folder.at('file'));
  await expect.poll(() => settler.size()).toBe(0);
  expect(settled).toEqual([]);
});

test('what could not be handed over may be offered again', async () => {
  await writeFile(folder.at('file'), 'x');
  let isFull = true;
  const settled: SettledFile[] = [];
  const { settler, errors } = await open({
    settleMs: 0,
    async onSettled(files) {
      if (isFull) throw new Error('the disk is full');
      settled.push(...files);
    },
  });
  await using _ = settler;
  await settler.offer(path);
  await expect.poll(() => errors.length).toBe(1);
  expect(settler.size()).toBe(0);
  isFull = false;
  await settler.offer(path);
  await expect.poll(() => settled.length).toBe(1);
});

test('a look that fails is told, and harms no other file', async () => {
  await writeFile(folder.at('file'), 'x');
  const settled: RelativePath[] = [];
  const opened = await openFolder(folder.path, 'folder');
  const { settler, errors } = await open({
    settleMs: 0,
    look: async (at) => {
      if (at !== path) throw new Error('EIO');
      return identityAt(opened, at);
    },
    onSettled: async (files) => void settled.push(...files.map((file) => file.path)),
  });
  await using _ = settler;
  await settler.offer(pathFromText('bad'));
  await settler.offer(path);
  await expect.poll(() => settled).toEqual([path]);
  expect(errors).toHaveLength(1);
});

test('a hundred thousand offers take bounded room: they wait while the journal is busy', async () => {
  const old: FileIdentity = { ino: 1n, size: 1, mtimeNs: 1n, ctimeNs: 1n };
  const busy = Promise.withResolvers<void>();
  let handedOver = 0;
  let largestBatch = 0;
  const { settler } = await open({
    look: async () => old,
    async onSettled(files) {
      largestBatch = Math.max(largestBatch, files.length);
      await busy.promise;
      handedOver += files.length;
    },
  });
  await using _ = settler;
  let offered = 0;
  const offering = (async () => {
    for (; offered < 100_000; offered += 1) await settler.offer(`file-${offered}` as RelativePath);
  })();
  await expect.poll(() => offered).toBeGreaterThan(4000);
  expect(settler.offerNow('another' as RelativePath)).toBe(false);
  expect(settler.size()).toBeLessThan(6000);
  busy.resolve();
  await offering;
  await expect.poll(() => handedOver, { timeout: 5000 }).toBe(100_000);
  expect(largestBatch).toBeLessThan(1000);
});

test('after it is closed nothing is handed over, nobody waits, and no timer is left', async () => {
  await writeFile(folder.at('file'), 'x');
  const look = Promise.withResolvers<FileIdentity | undefined>();
  const { settler, settled, identity } = await open({ look: () => look.promise });
  await settler.offer(path);
  await settler[Symbol.asyncDispose]();
  look.resolve(await identity());
  await settler.offer(pathFromText('late'));
  await look.promise;
  await new Promise(setImmediate);
  expect(settler.size()).toBe(0);
  expect(settled).toEqual([]);
});
