import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { type Ceph, cephMissing, startCeph } from '../support/ceph.ts';
import { type RawRequest, sendSigned } from '../support/signed-request.ts';
import { createTestCa } from '../support/tls.ts';

const send = (ceph: Ceph, method: string, path: string, request: Partial<RawRequest> = {}, ca?: string) =>
  sendSigned({ url: ceph.url, region: ceph.region, credentials: ceph.owner, ca }, { method, path, ...request });

const missing = cephMissing();
const required = process.env['DROPLEDGER_REQUIRE_COMPAT'] === '1';

describe.skipIf(missing !== undefined && !required)('the Ceph that tests are run against', { concurrent: true }, () => {
  test('a gateway that was killed is back with everything', async () => {
    await using ceph = await startCeph();
    await ceph.createBucket('bucket');
    await send(ceph, 'PUT', '/bucket/a', { body: 'kept' });
    await ceph.restartGateway();
    expect((await send(ceph, 'GET', '/bucket/a')).text).toBe('kept');
    expect(await ceph.adminCommand('bucket', 'list')).toContain('"bucket"');
  });

  test('what write-only credentials put, the owner reads; temporary ones are as good', async () => {
    await using ceph = await startCeph({ writeOnlyPrefix: 'in/' });
    await ceph.createBucket('bucket');
    for (const credentials of [ceph.writeOnly, await ceph.assumeWriteOnlyRole(900)]) {
      const put = (key: string) => send(ceph, 'PUT', `/bucket/${key}`, { body: 'x', credentials });
      expect((await put('in/a')).status).toBe(200);
      expect((await put('out/a')).code).toBe('AccessDenied');
      expect((await send(ceph, 'GET', '/bucket/in/a', { credentials })).code).toBe('AccessDenied');
      expect((await send(ceph, 'GET', '/bucket/in/a')).text).toBe('x');
    }
  });

  test('it speaks TLS', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dropledger-ceph-test-'));
    try {
      const ca = await createTestCa(folder);
      await using ceph = await startCeph({ tls: await ca.issue('127.0.0.1') });
      await ceph.createBucket('bucket');
      expect((await send(ceph, 'PUT', '/bucket/a', { body: 'x' }, ca.cert)).status).toBe(200);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  // Tests that run side by side have each an `expect` of their own for what is polled.
  test('nothing of it outlives the process that started it, killed or not', async ({ expect }) => {
    const support = new URL('../support/ceph.ts', import.meta.url);
    const script = `
      const { startCeph } = await import(${JSON.stringify(support.href)});
      await startCeph();
      console.log('started');
      setInterval(() => {}, 1000);
    `;
    const folder = await mkdtemp(join(tmpdir(), 'dropledger-ceph-test-'));
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(createInterface(parent.stdout), 'line');
    expect(await commandLinesWith(folder)).not.toEqual([]);
    parent.kill('SIGKILL');
    await expect.poll(() => commandLinesWith(folder), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => readdir(folder), { timeout: 10_000 }).toEqual([]);
    await rm(folder, { recursive: true });
  });
});

/** Of all running processes, those that name a folder. */
async function commandLinesWith(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.includes(folder));
}
