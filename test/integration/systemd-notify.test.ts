import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { DgramSocket } from 'node-unix-socket';
import { expect, test, vi } from 'vitest';

const hasSystemdNotify = ((): boolean => {
  try {
    execFileSync('systemd-notify', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!hasSystemdNotify)(
  'without the optional package, systemd-notify speaks, and the order is kept',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dropledger-notify-'));
    const receiver = new DgramSocket();
    try {
      const received: string[] = [];
      receiver.on('data', (message: Buffer) => received.push(message.toString()));
      receiver.bind(join(folder, 'notify'));
      // A copy outside the repository finds no packages.
      cpSync(new URL('../../src/service/systemd.ts', import.meta.url), join(folder, 'systemd.ts'));
      const script = `
      import { createNotifier } from ${JSON.stringify(join(folder, 'systemd.ts'))};
      await using notifier = await createNotifier({ socketPath: process.argv[1], pid: process.pid });
      process.stdout.write(notifier.channel);
      notifier.status('50 % of a b');
      notifier.ready();
      notifier.stopping();`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, join(folder, 'notify')]);
      const [stdout, stderr, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ]);
      expect({ stdout, stderr, code }).toEqual({ stdout: 'child', stderr: '', code: 0 });
      // systemd-notify also asks each time to be told when its message was taken in.
      const messages = () => received.map((message) => message.trim()).filter((message) => message !== 'BARRIER=1');
      await vi.waitFor(() => expect(messages()).toEqual(['STATUS=50 % of a b', 'READY=1', 'STOPPING=1']));
    } finally {
      receiver.close();
      rmSync(folder, { recursive: true });
    }
  },
);
