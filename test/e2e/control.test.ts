import { mkdir, readFile, symlink, unlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Explanation } from '../../src/control/protocol.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { runProgram } from '../support/daemon-program.ts';
import { statusOf } from '../support/daemon-status.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** What a person at a terminal learns of a running daemon, and can tell it to do. */
const postgres = usePostgres();

const run = ({ configFile, env }: Workplace, command: string, ...args: string[]) =>
  runProgram([command, ...args, '--config', configFile], env);

/** Each look is a process of its own. */
const soon = (look: () => Promise<void>) => vi.waitFor(look, { timeout: 45_000, interval: 200 });

async function explained(place: Workplace, file: string): Promise<Explanation> {
  const { stdout, stderr } = await run(place, 'explain', file, '--json');
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

test.concurrent('status tells what was done; explain tells of one file what became of it', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.drop('sub/one.txt', 'one');
  await writeFile(join(place.inbox, '.hidden'), 'x');
  const uploaded = await daemon.waitFor('uploaded', { path: 'sub/one.txt' });
  await soon(async () => {
    const { totals, queue, ledger, phase, oldestUnrecordedAt } = await statusOf(place);
    expect({ phase, uploaded: totals.uploaded, recorded: ledger.recorded }).toEqual({
      ...{ phase: 'running', uploaded: 1, recorded: 1 },
    });
    expect([Object.values(queue), oldestUnrecordedAt]).toEqual([[0, 0, 0, 0, 0, 0, 0], null]);
  });
  const { stdout } = await run(place, 'status');
  expect(stdout).toContain('● running');
  expect(stdout).toContain('1 uploaded (3 B)');

  for (const file of ['sub/one.txt', join(place.inbox, 'sub/one.txt'), join(place.archive, 'sub/one.txt')]) {
    expect(await explained(place, file)).toMatchObject({ state: 'uploaded', facts: { ledgerId: uploaded['id'] } });
  }
  expect(await explained(place, '.hidden')).toMatchObject({ state: 'ignored', facts: { rule: '.*' } });
  expect((await run(place, 'explain', '/etc/passwd')).code).toBe(64);
  expect((await run(place, 'explain', '../elsewhere')).code).toBe(1);

  await place.drop('sub/one.txt', 'one');
  await daemon.waitFor('duplicate');
  await soon(async () => {
    expect(await explained(place, 'sub/one.txt')).toMatchObject({
      state: 'duplicate',
      facts: { duplicateOf: uploaded['id'] },
    });
  });
});

test.concurrent('an outage is told with its reason, and an upload under way with its progress', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { partSizeMiB: 5, concurrency: 1 } } });
  const daemon = await place.start();
  const released = Promise.withResolvers<void>();
  place.store.faults = async ({ operation }) => {
    if (operation === 'UploadPart') await released.promise;
    return undefined;
  };
  await place.drop('large.img', Buffer.alloc(12 * 2 ** 20, 'x'));
  await soon(async () => {
    const { uploads, queue } = await statusOf(place);
    expect(uploads.underWay).toMatchObject([{ path: 'large.img', size: 12 * 2 ** 20 }]);
    expect(queue).toMatchObject({ uploading: 1, queued: 0 });
  });
  expect((await explained(place, 'large.img')).state).toBe('uploading');
  released.resolve();
  await daemon.waitFor('uploaded');

  await place.store.stop();
  for (let file = 0; file < 5; file += 1) await place.drop(`during/${file}.txt`, `during ${file}`);
  await daemon.waitFor('paused');
  const { uploads } = await statusOf(place);
  expect(uploads.paused?.attempts).toBeGreaterThanOrEqual(0);
  expect((await run(place, 'status')).stdout).toContain('! Uploads are paused');
  expect((await explained(place, 'during/1.txt')).notes[0]).toContain('Uploads are paused');
  await place.store.start();
  await expectInvariants(place);
});

test.concurrent('retry puts quarantined files back, and never replaces one', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { onConflict: 'fail' } } });
  const daemon = await place.start();
  await place.drop('sub/report.csv', 'first');
  await daemon.waitFor('uploaded');
  await place.drop('sub/report.csv', 'second', /exists in the bucket/);
  await daemon.waitFor('quarantined');
  expect(await explained(place, 'sub/report.csv')).toMatchObject({
    state: 'quarantined',
    facts: { error: expect.stringContaining('exists in the bucket') },
  });
  await soon(async () => expect((await statusOf(place)).quarantine).toEqual({ files: 1, more: false }));

  await daemon.kill();
  await place.configure({ s3: { onConflict: 'keep-both' } });
  const next = await place.start(); // which finds the socket that the killed one left
  await mkdir(join(place.inbox, 'sub'), { recursive: true });
  await symlink('nowhere', join(place.inbox, 'sub/report.csv'));
  const refused = await run(place, 'retry', 'sub/report.csv');
  expect([refused.code, refused.stdout]).toEqual([
    1,
    expect.stringContaining('a file of that name is in the drop folder'),
  ]);
  expect(await readFile(join(place.quarantine, 'sub/report.csv'), 'utf8')).toBe('second');

  await unlink(join(place.inbox, 'sub/report.csv'));
  const { code, stdout } = await run(place, 'retry', '--all');
  expect([code, stdout]).toEqual([0, '✓ sub/report.csv\n1 put back into the drop folder.\n']);
  await next.waitFor('put-back', { path: 'sub/report.csv' });
  const uploaded = await next.waitFor('uploaded', { path: 'sub/report.csv' });
  expect(uploaded['key']).toMatch(/^in\/sub\/report~[0-9a-f]{8}\.csv$/);
  expect((await run(place, 'retry', '--all')).stdout).toBe('The quarantine is empty.\n');
  expect((await run(place, 'retry', 'sub/report.csv')).code).toBe(1);
  expect((await run(place, 'retry')).code).toBe(64);
});

test.concurrent('without a daemon: 69, and what to do', async () => {
  await using place = await makeWorkplace({ postgres });
  for (const [command = '', ...args] of [['status'], ['explain', 'x'], ['retry', '--all']]) {
    const { code, stderr } = await run(place, command, ...args);
    expect([code, stderr]).toEqual([69, expect.stringContaining('systemctl status dropledger')]);
  }
});

test.concurrent('a socket that cannot be made is said once, and files arrive all the same', async () => {
  await using place = await makeWorkplace({ postgres });
  await writeFile(join(place.folder, 'control.sock'), 'in the way');
  const daemon = await place.start();
  await place.drop('one.txt', 'one');
  await expectInvariants(place);
  expect(daemon.named('warning')).toMatchObject([{ error: expect.stringContaining('not a socket') }]);
});

test.concurrent('metrics, health and readiness are served on loopback, where asked for', async () => {
  const port = await freePort();
  await using place = await makeWorkplace({ postgres, config: { metrics: { listen: String(port) } } });
  const daemon = await place.start();
  await place.drop('one.txt', 'one');
  await place.drop('a\\xFF-odd', 'x');
  await daemon.waitFor('uploaded', {}, 2);
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  await soon(async () => {
    const { status, text } = await get('/metrics');
    expect(status).toBe(200);
    expect(text).toContain('dropledger_files_total{outcome="uploaded"} 2\n');
    expect(text).toContain('dropledger_ledger_rows_recorded_total 2\n');
    expect(text).toContain('dropledger_upload_duration_seconds_count 2\n');
  });
  expect(await get('/healthz')).toEqual({ status: 200, text: 'ok\n' });
  expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' });
  await place.store.stop();
  for (let file = 0; file < 5; file += 1) await place.drop(`during/${file}.txt`, `during ${file}`);
  await daemon.waitFor('paused');
  expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('uploads are paused') });
  expect((await get('/healthz')).status).toBe(200);
  expect((await get('/metrics')).text).toContain('dropledger_uploads_paused 1\n');
  await place.store.start();
  await daemon.waitFor('resumed');
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
