import { expect, test } from 'vitest';
import { makePlan, planText } from '../../chaos/plan.ts';

test('a seed makes the same plan again, another seed another one', () => {
  const text = (seed: number) => planText(makePlan({ seed, minutes: 2, ownStore: true }));
  expect(text(7)).toBe(text(7));
  expect(text(7)).not.toBe(text(8).replace('seed 8', 'seed 7'));
});

test('seeds differ in where files go, what conflicts do, how parts are sent and how the daemon logs in', () => {
  const settings = Array.from({ length: 100 }, (_, seed) => makePlan({ seed, minutes: 0.1, ownStore: true }).settings);
  const drawn = (name: keyof (typeof settings)[number]) => [...new Set(settings.map((one) => one[name]))].toSorted();
  expect(drawn('afterUpload')).toEqual(['archive', 'delete', 'keep']);
  expect(drawn('onConflict')).toEqual(['fail', 'keep-both', 'overwrite']);
  expect(drawn('engine')).toEqual(['lib-storage', 'native']);
  expect(drawn('login')).toEqual(['agent', 'key', 'session']);
});

test('an hour holds every kind of act and of trouble', () => {
  const { writers, troubles } = makePlan({ seed: 1, minutes: 60, ownStore: true });
  expect([...new Set(writers.flat().map(({ act }) => act.does))].toSorted()).toEqual([
    'append',
    'bring-folder',
    'copy',
    'delete',
    'leave-unfinished',
    'put',
    'put-again',
    'put-hostile',
    'rename-folder',
    'rsync',
    'set-mode',
    'set-times',
    'take-folder',
    'write',
  ]);
  expect([...new Set(troubles.flat().map(({ act }) => act.what))].toSorted()).toEqual([
    'credentials',
    'freeze',
    'kill',
    'network',
    'postgres-down',
    'postgres-drops-connections',
    'reload',
    's3-down',
    's3-faults',
    'terminate',
  ]);
});

test('all trouble is over in the end', () => {
  const { troubles, minutes } = makePlan({ seed: 3, minutes: 5, ownStore: true });
  for (const { atMs, act } of troubles.flat()) {
    const forMs = 'forMs' in act ? act.forMs : 'downMs' in act ? act.downMs : 0;
    expect(atMs + forMs).toBeLessThanOrEqual(minutes * 60_000);
  }
});
