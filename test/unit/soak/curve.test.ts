import { expect, test } from 'vitest';
import { curveText, growthIn, journalBytesAFile, type Sample } from '../../soak/curve.ts';

const sample = (changes: Partial<Sample>): Sample => ({
  ...{
    seconds: 0,
    files: 0,
    rssMb: 150,
    descriptors: 30,
    inotifyWatches: 21,
    threads: 11,
    journalMb: 4,
    cpuSeconds: 1,
  },
  ...changes,
});

/** An hour, a sample a minute. */
const hour = (at: (minute: number) => Partial<Sample>): Sample[] =>
  Array.from({ length: 61 }, (_, minute) => sample({ seconds: minute * 60, files: minute * 600, ...at(minute) }));

test('what goes up and down grows not; a journal that remembers each file neither', () => {
  const breathing = hour((minute) => ({ rssMb: 150 + (minute % 7) * 3, journalMb: 4 + minute * 600 * 300e-6 }));
  expect(growthIn(breathing)).toEqual([]);
  expect(journalBytesAFile(breathing)).toBeCloseTo(300);
});

test.each<[string, (minute: number) => Partial<Sample>]>([
  ['MB of memory', (minute) => ({ rssMb: 150 + minute * 2 })],
  ['descriptors', (minute) => ({ descriptors: 30 + minute })],
  ['inotify watches', (minute) => ({ inotifyWatches: 21 + Math.floor(minute / 20) })],
  ['threads', (minute) => ({ threads: 11 + Math.floor(minute / 8) })],
  ['the journal', (minute) => ({ journalMb: 4 + minute * 600 * 2000e-6 })],
])('%s that grow are found', (what, at) => {
  expect(growthIn(hour(at))).toEqual([expect.stringMatching(new RegExp(`^${what}`))]);
});

test('a run too short for a curve proves nothing', () => {
  expect(growthIn([sample({})])).toEqual(['the run was too short for a curve']);
});

test('the table has a line for each sample, and no more than is wanted', () => {
  expect(
    curveText(
      hour(() => ({})),
      10,
    ).split('\n'),
  ).toHaveLength(11);
  expect(curveText([sample({}), sample({ seconds: 60 })]).split('\n')).toHaveLength(3);
});

test('hours that are simulated have a column of their own', () => {
  expect(curveText([sample({ hour: 0 }), sample({ hour: 1 })]).split('\n')[0]).toMatch(/^ *hour /);
  expect(curveText([sample({})])).not.toContain('hour');
});
