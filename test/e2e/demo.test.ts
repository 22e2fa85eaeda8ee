import { chmod, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runProgram, spawnProgram } from '../support/daemon-program.ts';

/** `dropledger demo`, for whoever has just cloned this. */
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dropledger-test-'));
  await chmod(folder, 0o755); // as root, its Postgres runs as another user
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('--once: the samples are in the ledger, as a table; exit 0, and nothing stays behind', async () => {
  const { code, stdout, stderr } = await runProgram(['demo', '--once'], { TMPDIR: folder, HOME: folder });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [table = ''] = stdout.slice(stdout.indexOf('recorded ')).split('\n\n');
  const [head = '', rule = '', ...rows] = table.split('\n');
  for (const title of ['recorded', 'status', 'sha256', 'path']) expect(head).toContain(title);
  expect(rule).toMatch(/^[─ ]+$/);
  expect(rows.flatMap((row) => / (uploaded|failed) /.exec(row)?.[1] ?? []).sort()).toEqual([
    'failed',
    ...Array(5).fill('uploaded'),
  ]);
  expect(rows.join('\n')).toMatch(/uploaded .*[0-9a-f]{12}.* backups\/large\.img/);
  expect(await readdir(folder)).toEqual([]);
  expect(await processesIn(folder)).toEqual([]);
});

test('Ctrl-C cleans up, and ends with 0', async () => {
  await using demo = startDemo();
  await demo.isInviting;
  demo.process.kill('SIGINT');
  expect(await demo.exited).toEqual({ code: 0, signal: null });
  expect(await readdir(folder)).toEqual([]);
  expect(await processesIn(folder)).toEqual([]);
});

test('kill -9 leaves no process behind', async () => {
  await using demo = startDemo();
  await demo.isInviting;
  expect((await processesIn(folder)).length).toBeGreaterThan(1);
  demo.process.kill('SIGKILL');
  await demo.exited;
  await expect.poll(() => processesIn(folder), { timeout: 20_000 }).toEqual([]);
});

function startDemo() {
  const demo = spawnProgram(['demo'], { TMPDIR: folder, HOME: folder });
  const { promise: isInviting, resolve, reject } = Promise.withResolvers<void>();
  let text = '';
  demo.process.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    if (text.includes('Ctrl-C stops everything')) resolve();
  });
  demo.exited.then(() => reject(new Error(`the demo ended: ${text}`)), reject);
  return {
    ...demo,
    isInviting,
    async [Symbol.asyncDispose]() {
      demo.process.kill('SIGKILL');
      await demo.exited;
    },
  };
}

/** Processes that work in the folder, or name it in their command line. */
async function processesIn(place: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [commandLine, workplace] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ]);
      return `${commandLine}\0${workplace}`.includes(place) ? [`${pid} ${commandLine.replaceAll('\0', ' ')}`] : [];
    }),
  );
  return found.flat();
}
