import { EventEmitter, once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';
import { expect, test, vi } from 'vitest';
import type { Surroundings } from '../../../../src/cli/command.ts';
import { watch } from '../../../../src/cli/status/watch.ts';
import { ServiceUnavailable } from '../../../../src/service/errors.ts';
import { daemonReport } from '../../../support/daemon-report.ts';

/** A terminal that keeps what was written to it. */
function terminal(columns: number, rows: number) {
  let text = '';
  const stream = Object.assign(new EventEmitter(), {
    ...{ isTTY: true, columns, rows },
    write(piece: string) {
      text += piece;
      return true;
    },
  });
  const listeners = new Map<string, () => void>();
  const around = {
    env: { NO_COLOR: '1' },
    stdin: () => ({ isTTY: false }),
    stdout: stream,
    onSignal: (signal: string, listener: () => void) => void listeners.set(signal, listener),
  } as unknown as Surroundings;
  return {
    around,
    stream,
    text: () => text,
    /** Its lines after the last drawing. */
    screen: () => stripVTControlCharacters(text.slice(text.lastIndexOf('\x1b[H'))).split('\r\n'),
    signal: (name: string) => listeners.get(name)?.(),
  };
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])(
  'it fills the screen, and %s leaves the terminal as it was',
  async (signal) => {
    const { around, text, screen, signal: send } = terminal(120, 40);
    const watching = watch(async () => daemonReport(), around);
    await vi.waitFor(() => expect(screen()[0]).toContain('dropledger 1.2.3 on scanner'));
    send(signal);
    expect(await watching).toBe(0);
    expect(text().startsWith('\x1b[?1049h')).toBe(true);
    expect(text().endsWith('\x1b[?7h\x1b[?25h\x1b[?1049l')).toBe(true);
  },
);

test('it is drawn anew, and smaller, as soon as the terminal is', async () => {
  const { around, stream, screen, signal } = terminal(120, 40);
  const watching = watch(async () => daemonReport(), around);
  await vi.waitFor(() => expect(screen().length).toBeGreaterThan(8));
  Object.assign(stream, { columns: 30, rows: 5 });
  stream.emit('resize');
  expect(screen()).toHaveLength(5);
  expect(Math.max(...screen().map((line) => line.length))).toBe(30);
  signal('SIGINT');
  await watching;
  expect(stream.listenerCount('resize')).toBe(0);
});

test('a daemon that goes away is waited for', async () => {
  const { around, screen, signal } = terminal(120, 40);
  let isThere = true;
  const ask = async () => {
    if (isThere) return daemonReport();
    throw new ServiceUnavailable('daemon', 'no daemon listens', { hint: 'systemctl status dropledger' });
  };
  const watching = watch(ask, around);
  await vi.waitFor(() => expect(screen()[0]).toContain('● running'));
  isThere = false;
  await vi.waitFor(() =>
    expect(screen().slice(0, 2)).toEqual(['✗ no daemon listens', '  → systemctl status dropledger']),
  );
  isThere = true;
  await vi.waitFor(() => expect(screen()[0]).toContain('● running'));
  signal('SIGINT');
  await watching;
});

test('a daemon that does not answer keeps nobody from leaving', async () => {
  const { around, text, signal: send } = terminal(120, 40);
  const asked = Promise.withResolvers<void>();
  const watching = watch(async (signal) => {
    asked.resolve();
    await once(signal, 'abort');
    throw signal.reason;
  }, around);
  await asked.promise;
  send('SIGINT');
  expect(await watching).toBe(0);
  expect(text()).not.toContain('✗');
});

test('a terminal that is gone ends it', async () => {
  const { around, stream, screen } = terminal(120, 40);
  const watching = watch(async () => daemonReport(), around);
  await vi.waitFor(() => expect(screen().length).toBeGreaterThan(1));
  stream.emit('error', Object.assign(new Error('write EIO'), { code: 'EIO' }));
  expect(await watching).toBe(0);
});
