import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DgramSocket } from 'node-unix-socket';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createNotifier } from '../../../src/service/systemd.ts';

let folder: string;
let receiver: DgramSocket;
let received: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dropledger-notify-'));
  receiver = new DgramSocket();
  received = [];
  receiver.on('data', (message: Buffer) => received.push(message.toString()));
});
afterEach(() => {
  receiver.close();
  rmSync(folder, { recursive: true });
});

const options = { watchdogUsec: undefined, watchdogPid: undefined, pid: process.pid };

test('a life as systemd sees it, in order', async () => {
  const socketPath = join(folder, 'notify');
  receiver.bind(socketPath);
  const before = process.hrtime.bigint() / 1000n;
  {
    await using notifier = await createNotifier({ ...options, socketPath });
    expect(notifier.channel).toBe('socket');
    notifier.extendTimeout(1500);
    notifier.status('starting\nREADY=1');
    notifier.ready();
    notifier.status('3 uploading');
    notifier.status('3 uploading');
    notifier.reloading();
    notifier.ready();
    notifier.stopping();
  }
  await vi.waitFor(() => expect(received).toHaveLength(7));
  expect(received.toSpliced(4, 1)).toEqual([
    ...['EXTEND_TIMEOUT_USEC=1500000', 'STATUS=starting READY=1', 'READY=1', 'STATUS=3 uploading'],
    ...['READY=1', 'STOPPING=1'],
  ]);
  const [, usec] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(received[4] ?? '') ?? [];
  expect(BigInt(usec ?? 0)).toBeGreaterThanOrEqual(before);
});

test('a socket in the abstract namespace', async () => {
  const name = `dropledger-notify-${process.pid}`;
  receiver.bind(`\0${name}`);
  await using notifier = await createNotifier({ ...options, socketPath: `@${name}` });
  notifier.ready();
  await vi.waitFor(() => expect(received).toEqual(['READY=1']));
});

describe('the watchdog', () => {
  const socketPath = () => join(folder, 'notify');

  test('is fed at half of its time, and by the event loop: not while that is stuck', async () => {
    receiver.bind(socketPath());
    await using _notifier = await createNotifier({ ...options, socketPath: socketPath(), watchdogUsec: '40000' });
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(3));
    expect(new Set(received)).toEqual(new Set(['WATCHDOG=1']));
    await new Promise((resolve) => setImmediate(resolve));
    const fed = received.length;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200); // five times what is allowed
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(fed));
    expect(received.length).toBeLessThan(fed + 5);
  });

  test('of another process is none of ours', async () => {
    receiver.bind(socketPath());
    await using notifier = await createNotifier({
      ...options,
      ...{ socketPath: socketPath(), watchdogUsec: '1000', watchdogPid: String(process.pid + 1) },
    });
    notifier.ready();
    await vi.waitFor(() => expect(received).toEqual(['READY=1']));
  });
});

describe('where systemd is not', () => {
  test('nothing happens', async () => {
    await using notifier = await createNotifier({ ...options, socketPath: undefined, watchdogUsec: '1000' });
    expect(notifier.channel).toBe('none');
    notifier.ready();
    notifier.status('x');
  });

  test.each(['/nonexistent/notify', '@nobody-listens-here', `/${'x'.repeat(200)}`])(
    '%s harms nobody',
    async (socketPath) => {
      await using notifier = await createNotifier({ ...options, socketPath });
      notifier.ready();
      notifier.stopping();
    },
  );
});
