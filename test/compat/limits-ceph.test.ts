import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Ceph, type CephOptions, cephMissing, startCeph } from '../support/ceph.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { runProgram } from '../support/daemon-program.ts';
import type { Store } from '../support/daemon-store.ts';
import { makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { usePostgres } from '../support/postgres.ts';
import { createTestCa } from '../support/tls.ts';

/** The limits of a server that nobody here wrote: its quota, its patience, and a certificate that it made itself. */

const bucket = 'limits';
const missing = cephMissing();

describe.skipIf(missing !== undefined)('the daemon, against Ceph RGW', () => {
  const postgres = usePostgres();

  const startWith = async (options: CephOptions = {}): Promise<Ceph> => {
    const ceph = await startCeph({ writeOnlyPrefix: 'in/', ...options });
    await ceph.createBucket(bucket);
    return ceph;
  };
  const makePlace = async ({ url, region, owner, writeOnly }: Ceph, ca?: string): Promise<Workplace> => {
    const store: Store = {
      url,
      region,
      bucket,
      prefix: 'in/',
      owner,
      writer: writeOnly,
      ...(ca !== undefined && { ca }),
    };
    return makeWorkplaceAt(store, { postgres });
  };
  const dropMany = async (place: Workplace, name: string, count: number): Promise<void> => {
    for (let file = 0; file < count; file += 1) await place.drop(`${name}/${file}.txt`, `${name} ${file}`);
  };

  test('a quota that is used up: uploads pause, said once, and go on once there is room', async () => {
    await using ceph = await startWith();
    const quota = (...args: string[]) =>
      ceph.adminCommand('quota', ...args, '--quota-scope=bucket', `--bucket=${bucket}`);
    await quota('set', '--max-objects=5');
    await quota('enable');
    await using place = await makePlace(ceph);
    const daemon = await place.start();
    await dropMany(place, 'fits', 5);
    await daemon.waitFor('uploaded', {}, 5);
    await dropMany(place, 'too many', 20);
    await daemon.waitFor('paused', { level: 'warning', error: /QuotaExceeded/, hint: /quota/ });
    await place.drop('large.bin', Buffer.alloc(20 * 2 ** 20, 'large'));
    await quota('disable');
    await daemon.waitFor('resumed');
    await expectInvariants(place);
    expect([daemon.named('paused').length, daemon.named('resumed').length]).toEqual([1, 1]);
  });

  test('fewer requests at a time than it is sent: 503 SlowDown costs time alone', async () => {
    await using ceph = await startWith({ maxConcurrentRequests: 2 });
    await using place = await makePlace(ceph);
    await using counter = await startFaultProxy(ceph.url);
    await place.configure({ s3: { endpoint: counter.url } });
    await place.start();
    await place.drop('large.bin', Buffer.alloc(100 * 2 ** 20, 'large'));
    await dropMany(place, 'small', 100);
    const rows = await expectInvariants(place);
    expect(counter.requests.some(({ status }) => status === 503)).toBe(true);
    expect(rows.every(({ status }) => status === 'uploaded')).toBe(true);
  });

  test('a certificate of its own authority: trusted where AWS_CA_BUNDLE names it, and only there', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dropledger-ca-'));
    try {
      const authority = await createTestCa(folder);
      await using ceph = await startWith({ tls: await authority.issue('127.0.0.1', 'localhost') });
      await using place = await makePlace(ceph, authority.cert);
      await dropMany(place, 'sealed', 20);
      await place.drop('large.bin', Buffer.alloc(20 * 2 ** 20, 'large'));
      const stranger = await place.start();
      await stranger.waitFor('paused', { level: 'warning', error: /certificate/, hint: /AWS_CA_BUNDLE/ });
      stranger.signal('SIGTERM');
      await stranger.exited;
      await place.start({ AWS_CA_BUNDLE: authority.certFile });
      await expectInvariants(place);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('check says what it lacks', async () => {
    await using ceph = await startWith();
    await using place = await makePlace(ceph);
    const { code, stdout } = await runProgram(['check', '--config', place.configFile], place.env);
    expect(stdout).toMatch(/^✓ overwriting .*If-None-Match/m);
    expect(stdout).toMatch(/^✓ checksums .*does not say that it verifies/m);
    expect(code).toBe(0);
    await place.configure({ s3: { checksums: 'confirm' } });
    const strict = await runProgram(['check', '--config', place.configFile], place.env);
    expect(strict).toMatchObject({ code: 78, stdout: expect.stringMatching(/^✗ checksums .*\n +→ .*"send"/m) });
    await expectInvariants(place); // nothing is left
  });
});

if (missing !== undefined) {
  test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`Ceph can't be started: ${missing}`, () => {
    expect.fail(missing);
  });
}
