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
    },
    onError: () => {},
  });
  queue.wake();
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(batches).toEqual([1000, 1000, 500]);
  expect(files.size).toBe(0);
});

test('what cannot be disposed of now is passed over, and offered again at the next wake', async () => {
  const { next } = filesFrom(2);
  const offered: string[] = [];
  const queue = createDisposalQueue<string>({
    next,
    dispose: async (files) => void offered.push(...files),
    onError: () => {},
  });
  queue.wake();
  await expect.poll(() => offered).toEqual(['file-1', 'file-2']);
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(offered).toHaveLength(4);
});

test('what is recorded while a batch is under way is not forgotten', async () => {
  const { files, next, remove } = filesFrom(2);
  files.delete(1);
  const queue = createDisposalQueue<string>({
    next,
    async dispose(done) {
      remove(done);
      if (!done.includes('file-2')) return;
      files.set(1, 'late'); // its place is before the one that was read last
      queue.wake();
    },
    onError: () => {},
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
    },
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
    },
    onError: () => {},
    graceOver: graceOver.signal,
  });
  queue.wake();
  await queue[Symbol.asyncDispose]();
  expect(files.size).toBe(4000);
});
