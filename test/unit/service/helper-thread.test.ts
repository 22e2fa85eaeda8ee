import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createHelperThread } from '../../../src/service/helper-thread.ts';

const openThread = () =>
  createHelperThread<string, string>({
    module: '../../support/test-thread',
    besides: import.meta.url,
    resourceLimits: { maxOldGenerationSizeMb: 16 },
  });

test('each job gets its own answer, however long others take', async () => {
  await using thread = openThread();
  expect(thread.isRunning()).toBe(false);
  expect(await Promise.all([thread.ask('slowly'), thread.ask('at once')])).toEqual(['SLOWLY', 'AT ONCE']);
  expect(thread.isRunning()).toBe(true);
});

test('a job that fails says why, and the next one is done', async () => {
  await using thread = openThread();
  await expect(thread.ask('fail')).rejects.toThrow('it cannot be done');
  expect(await thread.ask('next')).toBe('NEXT');
});

test('where the thread breaks down whoever waits is told, and the next job has a new one', async () => {
  await using thread = openThread();
  const waiting = thread.ask('slowly');
  const breaking = thread.ask('break down');
  await expect(breaking).rejects.toThrow('has ended');
  await expect(waiting).rejects.toThrow('has ended');
  expect(await thread.ask('next')).toBe('NEXT');
});

/** Of each thread of this process, as proc(5) has it. */
const niceness = () =>
  readdirSync('/proc/self/task').map((id) =>
    Number(readFileSync(`/proc/self/task/${id}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[16]),
  );

test('a thread that gives way leaves the others as they are', async () => {
  const before = niceness();
  expect(before).not.toContain(10);
  await using thread = openThread();
  await thread.ask('start');
  expect(niceness().filter((value) => value === 10)).toHaveLength(1);
});
