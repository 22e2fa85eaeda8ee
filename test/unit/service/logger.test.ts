import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger, describeDestination, type LogDestination } from '../../../src/service/logger.ts';

let folder: string;
let fd: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dropledger-log-'));
  fd = openSync(join(folder, 'log'), 'a');
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const lines = (): string[] => readFileSync(join(folder, 'log'), 'utf8').split('\n').slice(0, -1);
const to = (kind: LogDestination['kind'], colours = false): LogDestination => ({ fd, kind, colours });

describe('JSON', () => {
  test('time, level, event, message and the fields with their types', () => {
    const log = createLogger({ level: 'info', format: 'auto', destination: to('other') });
    log.warning('retrying', { path: 'a b.txt', attempt: 3, final: false, principal: null }, 'S3 is busy');
    log.flush();
    expect(lines().map((line) => JSON.parse(line))).toStrictEqual([
      {
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        level: 'warning',
        event: 'retrying',
        message: 'S3 is busy',
        path: 'a b.txt',
        attempt: 3,
        final: false,
        principal: null,
      },
    ]);
  });

  test('a field can not pass for the time, the level, the event or the message', () => {
    const log = createLogger({ level: 'info', format: 'json', destination: to('other') });
    log.info('uploaded', { level: 'error', event: 'x', time: 1, message: 'y', 'a"b': 1 }, 'real');
    log.flush();
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject({
      ...{ level: 'info', event: 'uploaded', message: 'real' },
      ...{ level_: 'error', event_: 'x', time_: 1, message_: 'y', a_b: 1 },
    });
  });

  test('any value that is no secret comes back from its line', () => {
    const log = createLogger({ level: 'info', format: 'json', destination: to('other') });
    const names = fc.sample(fc.string({ unit: 'binary', minLength: 1 }), 500);
    for (const path of names) log.info('uploaded', { path });
    log.flush();
    expect(lines().map((line) => JSON.parse(line).path)).toEqual(names);
  });
});

describe('levels', () => {
  test('what is below is left out, and a reload can change that', () => {
    const log = createLogger({ level: 'warning', format: 'text', destination: to('journal') });
    log.info('uploaded', {});
    log.error('paused', {});
    log.setLevel('debug');
    log.debug('scanned', { files: 3 });
    log.flush();
    expect(lines()).toEqual(['<3>paused', '<7>debug scanned files=3']);
  });
});

describe('what is chosen by itself', () => {
  test('pretty on a terminal, without colours for NO_COLOR and for dumb ones', () => {
    expect(describeDestination(fd, true, {})).toMatchObject({ kind: 'terminal', colours: true });
    expect(describeDestination(fd, true, { NO_COLOR: '1' })).toMatchObject({ kind: 'terminal', colours: false });
    expect(describeDestination(fd, true, { NO_COLOR: '' })).toMatchObject({ colours: true });
    expect(describeDestination(fd, true, { TERM: 'dumb' })).toMatchObject({ colours: false });
    const log = createLogger({ level: 'info', format: 'auto', destination: to('terminal', true) });
    log.info('uploaded', { path: 'a' });
    log.flush();
    expect(lines()[0]).toContain('\x1b[32muploaded');
  });

  test('journald is known by the device and inode it names, not by the variable alone', () => {
    const { dev, ino } = fstatSync(fd);
    expect(describeDestination(fd, false, { JOURNAL_STREAM: `${dev}:${ino}` }).kind).toBe('journal');
    expect(describeDestination(fd, false, { JOURNAL_STREAM: `${dev}:${ino + 1}` }).kind).toBe('other');
    expect(describeDestination(fd, false, {}).kind).toBe('other');
  });

  test('JSON in journald has its priority too', () => {
    const log = createLogger({ level: 'info', format: 'json', destination: to('journal') });
    log.error('paused', {});
    log.flush();
    expect(lines()).toEqual([expect.stringMatching(/^<3>\{"level":"error",.*\}$/)]);
  });

  test('`text` is logfmt wherever it goes', () => {
    for (const kind of ['terminal', 'journal', 'other'] as const) {
      const log = createLogger({ level: 'info', format: 'text', destination: to(kind) });
      log.info('uploaded', { path: 'a b' });
      log.flush();
    }
    expect(lines()).toEqual([
      expect.stringMatching(/^uploaded path="a b" level=info time=\S+$/),
      '<6>uploaded path="a b"',
      expect.stringMatching(/^uploaded path="a b" level=info time=\S+$/),
    ]);
  });
});

describe('lines that journald would split', () => {
  test.each(['json', 'text'] as const)('%s: they are cut with a mark and stay readable', (format) => {
    const log = createLogger({ level: 'info', format, destination: to('journal') });
    for (const value of ['x'.repeat(100_000), '\u202e'.repeat(20_000), '👩'.repeat(30_000), '"\\'.repeat(30_000)]) {
      log.error('quarantined', { path: value, key: value, bytes: 7, hint: 'short' }, value);
    }
    log.flush();
    expect(lines()).toHaveLength(4);
    for (const line of lines()) {
      expect(Buffer.byteLength(line)).toBeLessThan(48 * 1024);
      expect(Buffer.byteLength(line)).toBeGreaterThan(8 * 1024);
      expect(line).toContain('…(cut)');
      expect(line).toContain('short');
      if (format === 'json') expect(JSON.parse(line.replace('<3>', ''))).toMatchObject({ bytes: 7, hint: 'short' });
    }
  });

  test('a path as long as Linux allows is whole', () => {
    const log = createLogger({ level: 'info', format: 'json', destination: to('other') });
    const path = 'ä'.repeat(2048);
    log.info('uploaded', { path, key: `in/${path}` });
    log.flush();
    expect(JSON.parse(lines()[0] ?? '').path).toBe(path);
  });
});

test('no secret gets out, in a field or in a message', () => {
  for (const [format, kind] of [
    ['json', 'other'],
    ['text', 'journal'],
    ['auto', 'terminal'],
  ] as const) {
    const log = createLogger({ level: 'debug', format, destination: to(kind) });
    log.error('paused', { error: 'GET /?X-Amz-Signature=deadbeef', password: 'deadbeef' }, 'token=deadbeef');
    log.debug('aws_secret_access_key=deadbeef', { hint: 'X-Amz-Security-Token=deadbeef' });
    log.flush();
  }
  expect(lines().join()).not.toContain('deadbeef');
  expect(
    lines()
      .join()
      .match(/\(hidden\)/g),
  ).toHaveLength(15);
});
