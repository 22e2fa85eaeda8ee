import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ConfigError } from '../../../src/service/errors.ts';
import { lockFolder } from '../../../src/service/folder-lock.ts';

let path: string;
const folder = () => ({ path, ...statSync(path, { bigint: true }) });

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'dropledger-lock-'));
});
afterEach(() => rmSync(path, { recursive: true }));

test('a second daemon on the same folder is told which folder it is and who has it', async () => {
  await using _held = await lockFolder(folder());
  const second = lockFolder(folder());
  await expect(second).rejects.toThrow(`another dropledger (pid ${process.pid}) already watches ${path}`);
  await expect(second).rejects.toBeInstanceOf(ConfigError);
});

test('another folder is free, and so is the same one afterwards', async () => {
  const held = await lockFolder(folder());
  await using _other = await lockFolder({ ...folder(), ino: folder().ino + 1n });
  await held[Symbol.asyncDispose]();
  await using _again = await lockFolder(folder());
});

test('a connection that is left open keeps nobody from stopping', async () => {
  const held = await lockFolder(folder());
  const { dev, ino } = folder();
  const client = connect({ path: `\0dropledger-${dev}-${ino}`, allowHalfOpen: true });
  await once(client, 'data');
  await held[Symbol.asyncDispose]();
  client.destroy();
});

test('a kill -9 frees it at once', async () => {
  const module = new URL('../../../src/service/folder-lock.ts', import.meta.url).href;
  const script = `
    import { statSync } from 'node:fs';
    import { lockFolder } from ${JSON.stringify(module)};
    await lockFolder({ path: '', ...statSync(process.argv[1], { bigint: true }) });
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await expect(lockFolder(folder())).rejects.toThrow(`(pid ${child.pid})`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await using _mine = await lockFolder(folder());
});
