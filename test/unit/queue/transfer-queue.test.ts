import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RelativePath } from '../../../src/model.ts';
import {
  createTransferQueue,
  type Job,
  type Lane,
  type TransferQueueOptions,
} from '../../../src/queue/transfer-queue.ts';

interface File extends Job {
  readonly size: number;
}

/** What the journal is to the queue: jobs by path, each put anew at the end. */
function jobList() {
  const jobs = new Map<RelativePath, File>();
  let position = 0;
  let examined = 0;
  return {
    jobs,
    examined: () => examined,
    put(path: string, { size = 1, nextTryAt = 0 } = {}): void {
      position += 1;
      jobs.set(path as RelativePath, { position, path: path as RelativePath, size, nextTryAt });
    },
    done: (path: string) => void jobs.delete(path as RelativePath),
    failed(path: string, nextTryAt: number): void {
      const job = jobs.get(path as RelativePath);
      if (job !== undefined) jobs.set(job.path, { ...job, nextTryAt });
    },
    lane: (parallel: number, isMine: (job: File) => boolean = () => true): Lane<File> => ({
      parallel,
      next(after, limit) {
        examined += 1;
        const behind = [...jobs.values()].filter((job) => job.position > after && isMine(job));
        const found = behind.sort((one, other) => one.position - other.position).slice(0, limit);
        const more = behind.length > limit;
        return { jobs: found, upTo: more ? (found.at(-1)?.position ?? after) : position, more };
      },
    }),
  };
}

/** A queue whose passes end when the test says so. */
function open(list: ReturnType<typeof jobList>, options: Partial<TransferQueueOptions<File>> = {}) {
  const started: string[] = [];
  const open = new Map<string, PromiseWithResolvers<number | undefined>>();
  const defects: unknown[] = [];
  const queue = createTransferQueue<File>({
    lanes: [list.lane(2)],
    current: (path) => list.jobs.get(path),
    graceOver: new AbortController().signal,
    onDefect: (error) => defects.push(error),
    run(job) {
      started.push(job.path);
      const pass = Promise.withResolvers<number | undefined>();
      open.set(job.path, pass);
      return pass.promise;
    },
    ...options,
  });
  return {
    queue,
    started,
    defects,
    /** The pass of this path ends well. */
    finish(path: string): void {
      list.done(path);
      open.get(path)?.resolve(undefined);
    },
    /** It fails, to be tried again at a time (ms since 1970). */
    fail(path: string, nextTryAt: number): void {
      list.failed(path, nextTryAt);
      open.get(path)?.resolve(nextTryAt);
    },
  };
}

/** A queue whose passes end at once. */
function openQuick(list: ReturnType<typeof jobList>, options: Partial<TransferQueueOptions<File>> = {}) {
  const done: string[] = [];
  const parts = open(list, {
    async run({ path }) {
      done.push(path);
      list.done(path);
      return undefined;
    },
    ...options,
  });
  return { ...parts, done };
}

test('files are taken in their order, no more at once than the lane allows', async () => {
  const list = jobList();
  for (const path of ['a', 'b', 'c', 'd']) list.put(path);
  const { queue, started, finish } = open(list);
  queue.wake();
  expect(started).toEqual(['a', 'b']);
  finish('b');
  await expect.poll(() => started).toEqual(['a', 'b', 'c']);
  finish('a');
  await expect.poll(() => started).toEqual(['a', 'b', 'c', 'd']);
  expect(queue.running()).toBe(2);
  for (const path of ['c', 'd']) finish(path);
  await queue[Symbol.asyncDispose]();
});

test('thousands of files go through in order', async () => {
  const list = jobList();
  const paths = Array.from({ length: 3000 }, (_, index) => `file-${index}`);
  for (const path of paths) list.put(path);
  const { queue, done } = openQuick(list, { lanes: [list.lane(4)] });
  queue.wake();
  await expect.poll(() => done.length, { timeout: 5000 }).toBe(3000);
  expect(done).toEqual(paths);
  await queue[Symbol.asyncDispose]();
});

test('a lane of its own: the large hold up no small one', async () => {
  const list = jobList();
  for (const path of ['large-1', 'large-2', 'large-3']) list.put(path, { size: 1000 });
  for (const path of ['small-1', 'small-2']) list.put(path);
  const { queue, started, finish } = open(list, {
    lanes: [list.lane(2, ({ size }) => size < 100), list.lane(1, ({ size }) => size >= 100)],
  });
  queue.wake();
  await expect.poll(() => [...started].sort()).toEqual(['large-1', 'small-1', 'small-2']);
  for (const path of ['large-1', 'small-1', 'small-2']) finish(path);
  await expect.poll(() => started.at(-1)).toBe('large-2');
  finish('large-2');
  await expect.poll(() => started.at(-1)).toBe('large-3');
  finish('large-3');
  await queue[Symbol.asyncDispose]();
});

test('while it is paused nothing begins; each reason must go', async () => {
  const list = jobList();
  list.put('a');
  const { queue, started, finish } = open(list);
  queue.pause('start');
  queue.pause('outage');
  queue.wake();
  queue.resume('start');
  expect(started).toEqual([]);
  queue.resume('outage');
  expect(started).toEqual(['a']);
  finish('a');
  await queue[Symbol.asyncDispose]();
});

test('a file that failed comes again when its time has come, and others meanwhile', async () => {
  const list = jobList();
  for (const path of ['bad', 'good']) list.put(path);
  const { queue, started, fail, finish } = open(list, { lanes: [list.lane(1)] });
  queue.wake();
  const dueAt = Date.now() + 150;
  fail('bad', dueAt);
  await expect.poll(() => started).toEqual(['bad', 'good']);
  finish('good');
  await expect.poll(() => started).toEqual(['bad', 'good', 'bad']);
  expect(Date.now()).toBeGreaterThanOrEqual(dueAt);
  finish('bad');
  await queue[Symbol.asyncDispose]();
});

test('a later try that the journal remembers waits for its time', async () => {
  const list = jobList();
  const dueAt = Date.now() + 100;
  list.put('later', { nextTryAt: dueAt });
  list.put('now');
  const { queue, started, finish } = open(list);
  queue.wake();
  await expect.poll(() => started).toEqual(['now', 'later']);
  expect(Date.now()).toBeGreaterThanOrEqual(dueAt);
  for (const path of ['now', 'later']) finish(path);
  await queue[Symbol.asyncDispose]();
});

test('one pass a path: a file put anew while it runs waits for the end of its pass', async () => {
  const list = jobList();
  list.put('a');
  const { queue, started, finish } = open(list);
  queue.wake();
  list.put('a');
  list.put('b');
  queue.wake();
  expect(started).toEqual(['a', 'b']);
  const { position } = list.jobs.get('a' as RelativePath) ?? { position: 0 };
  finish('a');
  list.jobs.set('a' as RelativePath, { position, path: 'a' as RelativePath, size: 1, nextTryAt: 0 });
  await expect.poll(() => started).toEqual(['a', 'b', 'a']);
  for (const path of ['a', 'b']) finish(path);
  await queue[Symbol.asyncDispose]();
});

test('a file put anew while it runs is not lost when its pass fails', async () => {
  const list = jobList();
  list.put('a');
  const { queue, started, fail, finish } = open(list);
  queue.wake();
  list.put('a'); // it was replaced, came to rest…
  queue.wake(); // …and its new place in the queue was read
  fail('a', Date.now() + 20);
  await expect.poll(() => started).toEqual(['a', 'a']);
  finish('a');
  await queue[Symbol.asyncDispose]();
});

test('a pass that ends with another file in its place is followed by a pass of that one', async () => {
  const list = jobList();
  list.put('a');
  const { queue, started, fail, finish } = open(list);
  queue.wake();
  list.put('a'); // by the pass itself: nobody wakes the queue
  fail('a', Date.now());
  await expect.poll(() => started).toEqual(['a', 'a']);
  finish('a');
  await queue[Symbol.asyncDispose]();
});

test('a file that is done, or gone, when its turn comes is passed over', async () => {
  const list = jobList();
  for (const path of ['a', 'b', 'c']) list.put(path);
  const { queue, started, finish } = open(list, { lanes: [list.lane(1)] });
  queue.wake();
  list.done('b');
  finish('a');
  await expect.poll(() => started).toEqual(['a', 'c']);
  finish('c');
  await queue[Symbol.asyncDispose]();
});

test('a pass that throws is told, ends nothing, and is tried again in a while', async () => {
  const list = jobList();
  for (const path of ['a', 'b']) list.put(path);
  const { queue, done, defects } = openQuick(list, {
    lanes: [list.lane(1)],
    async run({ path }) {
      if (path === 'a') throw new Error('the journal is full');
      done.push(path);
      list.done(path);
      return undefined;
    },
  });
  queue.wake();
  await expect.poll(() => done).toEqual(['b']);
  expect(defects).toEqual([new Error('the journal is full')]);
  expect(queue.running()).toBe(0);
  await queue[Symbol.asyncDispose]();
});

test('where every pass throws, they do not all throw one after the other', async () => {
  const list = jobList();
  for (let number = 0; number < 500; number += 1) list.put(`file-${number}`);
  let isFull = true;
  const { queue, done, defects } = openQuick(list, {
    async run({ path }) {
      if (isFull) throw new Error('the journal is full');
      done.push(path);
      list.done(path);
      return undefined;
    },
  });
  queue.wake();
  await expect.poll(() => defects.length).toBeGreaterThan(0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(defects.length).toBeLessThan(50);
  isFull = false;
  await expect.poll(() => done.length).toBeGreaterThanOrEqual(490);
  await queue[Symbol.asyncDispose]();
});

test('at the end no pass begins, and those under way are waited for', async () => {
  const list = jobList();
  for (const path of ['a', 'b', 'c']) list.put(path);
  const { queue, started, finish, fail } = open(list);
  queue.wake();
  let isClosed = false;
  const closing = queue[Symbol.asyncDispose]().then(() => {
    isClosed = true;
  });
  finish('a');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(isClosed).toBe(false);
  fail('b', Date.now());
  await closing;
  queue.wake();
  expect(started).toEqual(['a', 'b']);
});

test('a long list of files that are not due does not hold the event loop', async () => {
  const list = jobList();
  const later = Date.now() + 3_600_000;
  for (let number = 0; number < 5000; number += 1) list.put(`later-${number}`, { nextTryAt: later });
  list.put('now');
  const { queue, done } = openQuick(list);
  queue.wake();
  expect(list.examined()).toBe(1); // one window, and then the event loop has its turn
  await expect.poll(() => done, { timeout: 5000 }).toEqual(['now']);
  await queue[Symbol.asyncDispose]();
});

test('a lane that has nothing in the queue does not go through it again and again', async () => {
  const list = jobList();
  for (let number = 0; number < 300; number += 1) list.put(`small-${number}`);
  const largest = list.lane(1, ({ size }) => size > 100);
  const after: number[] = [];
  const { queue, done } = openQuick(list, {
    lanes: [
      list.lane(2),
      {
        ...largest,
        next(position, limit) {
          after.push(position);
          return largest.next(position, limit);
        },
      },
    ],
  });
  queue.wake();
  await expect.poll(() => done.length).toBe(300);
  list.put('large', { size: 1000 });
  queue.wake();
  await expect.poll(() => done.length).toBe(301);
  expect(after.slice(1).every((position) => position >= 300)).toBe(true);
  await queue[Symbol.asyncDispose]();
});

test('whatever is put, put anew and fails in whatever order: everything is done, in one pass a path at a time', async () => {
  const putting = fc.record({
    path: fc.constantFrom('a', 'b', 'c', 'd'),
    size: fc.constantFrom(1, 1000),
    fails: fc.nat({ max: 2 }),
    after: fc.nat({ max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(putting, { minLength: 1, maxLength: 15 }), async (puttings) => {
      const list = jobList();
      const failures = new Map<string, number>();
      const running = new Set<string>();
      const { queue, defects } = open(list, {
        lanes: [list.lane(2, ({ size }) => size < 100), list.lane(1, ({ size }) => size >= 100)],
        async run(job) {
          expect(running).not.toContain(job.path);
          running.add(job.path);
          await new Promise(setImmediate);
          running.delete(job.path);
          const left = failures.get(job.path) ?? 0;
          failures.set(job.path, left - 1);
          if (left > 0) {
            list.failed(job.path, Date.now());
            return Date.now();
          }
          if (list.jobs.get(job.path)?.position === job.position) list.done(job.path);
          return undefined;
        },
      });
      for (const { path, size, fails, after } of puttings) {
        list.put(path, { size });
        failures.set(path, fails);
        queue.wake();
        for (let turn = 0; turn < after; turn += 1) await new Promise(setImmediate);
      }
      await expect.poll(() => list.jobs.size, { timeout: 3000, interval: 5 }).toBe(0);
      expect(defects).toEqual([]);
      await queue[Symbol.asyncDispose]();
    }),
    { numRuns: 20, interruptAfterTimeLimit: 4000 },
  );
});
