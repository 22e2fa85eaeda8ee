import { afterEach, beforeEach, expect, test } from 'vitest';
import type { QueuedFile } from '../../../src/journal/files.ts';
import { createLiveState } from '../../../src/reporting/live-state.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { identityOf, openTestJournal, queued, settledFile, type TestJournal } from '../../support/test-journal.ts';

let parts: TestJournal;
let nowMs: number;
beforeEach(async () => {
  parts = await openTestJournal();
  nowMs = 1_700_000_000_000;
});
afterEach(() => parts[Symbol.asyncDispose]());

const open = () => createLiveState({ now: () => nowMs });

async function fileOf(path: string, size: number): Promise<QueuedFile> {
  await parts.journal().files.settled([settledFile(path, identityOf({ size }))]);
  return queued(parts.journal(), path);
}

const noAbort = new AbortController().signal;

test('a pass is known while it is under way, however it ends', async () => {
  const state = open();
  const file = await fileOf('large.img', 1000);
  const under = Promise.withResolvers<undefined>();
  const pass = state.tracking(() => under.promise)(file, noAbort);
  state.progress(file, 250);
  nowMs += 2000;
  expect(state.transfer('large.img')).toMatchObject({ file, bytesStored: 250, bytesPerSecond: 125 });
  under.reject(new Error('given up'));
  await expect(pass).rejects.toThrow('given up');
  expect(state.transfers()).toEqual([]);
});

test('the speed is that of the last parts, not of all of them', async () => {
  const state = open();
  const file = await fileOf('large.img', 1e9);
  const under = Promise.withResolvers<undefined>();
  const pass = state.tracking(() => under.promise)(file, noAbort);
  for (let part = 1; part <= 20; part += 1) {
    nowMs += part <= 8 ? 10 : 1000;
    state.progress(file, part * 100);
  }
  expect(state.transfer('large.img')?.bytesPerSecond).toBe(100);
  expect(state.rates.bytes().reduce((sum, bytes) => sum + bytes)).toBe(2000);
  under.resolve(undefined);
  await pass;
});

test('what the log is told is counted and passed on', () => {
  const state = open();
  const log = recordingLog();
  const heard = state.listeningTo(log);
  heard.info('uploaded', { path: 'a', bytes: 100, ms: 5 });
  heard.info('uploaded', { path: 'b', bytes: 23, ms: 5 });
  heard.info('duplicate', { path: 'a', of: 'the first' });
  heard.error('quarantined', { path: 'c' });
  heard.warning('retrying', { path: 'd' });
  state.retried('s3');
  expect(state.totals).toEqual({ uploaded: 2, bytes: 123, duplicates: 1, quarantined: 1, gone: 0, retries: 1 });
  expect(log.events.map(({ event }) => event)).toEqual([
    'uploaded',
    'uploaded',
    'duplicate',
    'quarantined',
    'retrying',
  ]);
});

test('what left no trace is remembered for a while', () => {
  const state = open();
  const heard = state.listeningTo(recordingLog());
  for (let file = 0; file < 1500; file += 1) heard.info('gone', { path: `file-${file}` });
  heard.info('duplicate', { path: 'file-600', of: 'x' });
  expect(state.rareOutcome('file-499')).toBeUndefined();
  expect(state.rareOutcome('file-1499')?.event).toBe('gone');
  expect(state.rareOutcome('file-600')).toMatchObject({ event: 'duplicate', fields: { of: 'x' } });
});

test('observers are told of each upload and each failed attempt', () => {
  const state = open();
  const told: unknown[] = [];
  state.observe({ uploaded: (bytes, seconds) => told.push([bytes, seconds]), retried: (kind) => told.push(kind) });
  state.listeningTo(recordingLog()).info('uploaded', { path: 'a', bytes: 100, ms: 250 });
  state.retried('unreadable');
  expect(told).toEqual([[100, 0.25], 'unreadable']);
});
