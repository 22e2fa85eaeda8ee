import { expect, test } from 'vitest';
import { createDisposalQueue } from '../../../src/queue/disposal-queue.ts';

/** Files by their position; what is disposed of is gone. */
const filesFrom = (count: number) => {
  const files = new Map(Array.from({ length: count }, (_, index) => [index + 1, `file-${index + 1}`]));
  return {
    files,
    next: (position: number, limit: number) =>
      [...files]
        .filter(([at]) => at > position)
        .slice(0, limit)
        .map(([at, file]) => ({ position: at, file })),
    remove(done: readonly string[]) {
      for (const [at, file] of files) if (done.includes(file)) files.delete(at);
    },
  };
};

const quietly = { delayMs: () => 10, onError: () => {} };

test('all that is due is disposed of, one batch at a time', async () => {
  const { files, next, remove } = filesFrom(2500);
  const batches: number[] = [];
  let atOnce = 0;
  const queue = createDisposalQueue<string>({
    next,
    async dispose(done) {
      atOnce += 1;
      expect(atOnce).toBe(1);
      await new Promise(setImmediate);
      atOnce -= 1;
      batches.push(done.length);
      remove(done);
      return 0;
    },
    ...quietly,
  });
  queue.wake();
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(batches).toEqual([...Array.from({ length: 9 }, () => 256), 196]);
  expect(files.size).toBe(0);
});

test('what cannot be disposed of now waits for its time, and holds up nothing that comes behind it', async () => {
  const { files, next, remove } = filesFrom(2);
  const offered: string[] = [];
  const attempts: number[] = [];
  const isFull = (file: string) => file !== 'another';
  const queue = createDisposalQueue<string>({
    ...quietly,
    next,
    async dispose(all) {
      offered.push(...all);
      remove(all.filter((file) => !isFull(file)));
      return all.filter(isFull).length;
    },
    delayMs(attempt) {
      attempts.push(attempt);
      return 60_000;
    },
  });
  queue.wake();
  await expect.poll(() => offered).toEqual(['file-1', 'file-2']);
  files.set(3, 'another');
  queue.wake();
  await expect.poll(() => offered).toEqual(['file-1', 'file-2', 'another']);
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect([offered.length, attempts]).toEqual([3, [1]]);
});

test('when its time has come it is tried by itself, each time later, until it works', async () => {
  const { files, next, remove } = filesFrom(2);
  const attempts: number[] = [];
  const queue = createDisposalQueue<string>({
    ...quietly,
    next,
    async dispose(all) {
      if (attempts.length < 3) return all.length;
      remove(all);
      return 0;
    },
    delayMs(attempt) {
      attempts.push(attempt);
      return 1;
    },
  });
  queue.wake();
  await expect.poll(() => files.size, { timeout: 5000 }).toBe(0);
  await queue[Symbol.asyncDispose]();
  expect(attempts).toEqual([1, 2, 3]);
});

test('what is recorded while a batch is under way is not forgotten', async () => {
  const { files, next, remove } = filesFrom(2);
  files.delete(1);
  const queue = createDisposalQueue<string>({
    next,
    async dispose(done) {
      remove(done);
      if (!done.includes('file-2')) return 0;
      files.set(1, 'late'); // its place is before the one that was read last
      queue.wake();
      return 0;
    },
    ...quietly,
  });
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(files.size).toBe(0);
});

test('a failure is told, and the next wake begins anew', async () => {
  const { files, next, remove } = filesFrom(1);
  const errors: unknown[] = [];
  let isFull = true;
  const queue = createDisposalQueue<string>({
    next,
    async dispose(done) {
      if (isFull) throw new Error('full');
      remove(done);
      return 0;
    },
    ...quietly,
    onError: (error) => errors.push(error),
  });
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(errors).toEqual([new Error('full')]);
  isFull = false;
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(files.size).toBe(0);
});

test('when the grace time is over, what is left is for the next start', async () => {
  const { files, next, remove } = filesFrom(5000);
  const graceOver = new AbortController();
  const queue = createDisposalQueue<string>({
    next,
    async dispose(done) {
      remove(done);
      graceOver.abort();
      return 0;
    },
    ...quietly,
    graceOver: graceOver.signal,
  });
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(files.size).toBe(4744); // one batch less
});
