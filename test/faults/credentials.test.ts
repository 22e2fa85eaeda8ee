import { once } from 'node:events';
import { existsSync, globSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Fault } from '../../src/demo/s3-endpoint/index.ts';
import { filesIn } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import type { LocalStore } from '../support/daemon-store.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** Credentials that end, are taken away or lose a right, and a clock that is wrong: files wait, and nobody restarts it. */
const postgres = usePostgres();
const mebibyte = 2 ** 20;

interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

const session = (name: string): Session => ({
  accessKeyId: `ASIA${name}`,
  secretAccessKey: `secret-of-${name}`,
  sessionToken: `token-of-${name}`,
});

/** Hands out a session as the agent of a container does; a test may change it. */
async function startAgent(first: Session) {
  const agent = { session: first };
  const server = createServer((_request, response) => {
    const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token } = agent.session;
    const Expiration = new Date(Date.now() + 3_600_000).toISOString();
    response.end(JSON.stringify({ AccessKeyId, SecretAccessKey, Token, Expiration }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(agent, {
    env: { AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/role` },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  });
}

/** From now on the store knows this session alone, and all others as expired. */
function renewAt({ credentials, prefix }: LocalStore, current: Session): void {
  for (const [index, known] of credentials.entries()) {
    if (known.role === 'write-only') credentials[index] = { ...known, expired: true };
  }
  credentials.push({ ...current, role: 'write-only', prefix });
}

async function dropAll(place: Workplace, name: string): Promise<void> {
  await place.drop(`${name}/large.bin`, Buffer.alloc(12 * mebibyte, name));
  for (let file = 0; file < 20; file += 1) await place.drop(`${name}/${file}.txt`, `${name} ${file}`);
}

const paused = (place: Workplace) => place.daemons.flatMap((daemon) => daemon.named('paused'));
const resumed = (place: Workplace) => place.daemons.flatMap((daemon) => daemon.named('resumed'));

test.concurrent('a session that has ended, with a new one to be had: nobody notices', async () => {
  await using place = await makeWorkplace({ postgres });
  await using agent = await startAgent(session('FIRST'));
  await rm(join(place.home, '.aws'), { recursive: true });
  renewAt(place.store, agent.session);
  const daemon = await place.start(agent.env);
  await dropAll(place, 'first');
  await daemon.waitFor('uploaded', {}, 21);
  agent.session = session('SECOND');
  renewAt(place.store, agent.session);
  await dropAll(place, 'second');
  await expectInvariants(place);
  expect([...paused(place), ...daemon.named('retrying')]).toEqual([]);
  expect(daemon.output()).not.toMatch(/(secret|token)-of-/);
});

test.concurrent('a session that has ended, and a new one only later: uploads pause, and go on', async () => {
  await using place = await makeWorkplace({ postgres });
  await using agent = await startAgent(session('FIRST'));
  await rm(join(place.home, '.aws'), { recursive: true });
  renewAt(place.store, agent.session);
  const daemon = await place.start(agent.env);
  renewAt(place.store, session('SECOND'));
  await dropAll(place, 'during');
  await daemon.waitFor('paused', { level: 'error', error: /ExpiredToken/ });
  expect(await filesIn(place.inbox)).toHaveLength(21);
  agent.session = session('SECOND');
  await daemon.waitFor('resumed');
  await expectInvariants(place);
  expect([paused(place).length, resumed(place).length]).toEqual([1, 1]);
});

const denied = (right: string): Fault => {
  const message = `User: arn:aws:iam::123456789012:role/drop is not authorized to perform: ${right}`;
  return { kind: 'status', status: 403, code: 'AccessDenied', message };
};

test.concurrent('a policy that allows nothing any more: one notice, and uploads go on once it allows it again', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await dropAll(place, 'before');
  await daemon.waitFor('uploaded', {}, 21);
  place.store.faults = () => denied('s3:PutObject');
  await dropAll(place, 'during');
  await daemon.waitFor('paused', { level: 'error', error: /not authorized.*s3:PutObject/, hint: /dropledger policy/ });
  place.store.faults = undefined;
  await daemon.waitFor('resumed');
  await expectInvariants(place);
  expect([paused(place).length, resumed(place).length]).toEqual([1, 1]);
});

test.concurrent('one folder that the policy denies: its files wait, all others are uploaded', async () => {
  await using place = await makeWorkplace({ postgres });
  place.store.faults = ({ key }) => (key.startsWith('in/denied/') ? denied('s3:PutObject') : undefined);
  const daemon = await place.start();
  for (let file = 0; file < 3; file += 1) await place.drop(`denied/${file}.txt`, `denied ${file}`);
  await dropAll(place, 'allowed');
  await daemon.waitFor('uploaded', {}, 21);
  await daemon.waitFor('retrying', { path: /^denied\//, error: /s3:PutObject/, hint: /dropledger policy/ }, 3);
  place.store.faults = undefined;
  await expectInvariants(place, { patienceMs: 90_000 });
  expect([paused(place).length, resumed(place).length]).toEqual([1, 1]);
  expect(daemon.named('retrying')).toHaveLength(3);
});

test.concurrent('the right to abort alone is missing at the start: exit 77, and the notice names it', async () => {
  await using place = await makeWorkplace({ postgres });
  place.store.faults = ({ operation }) =>
    operation === 'AbortMultipartUpload' ? denied('s3:AbortMultipartUpload') : undefined;
  await dropAll(place, 'waits');
  const daemon = place.spawn();
  expect(await daemon.exited).toEqual({ code: 77, signal: null });
  expect(daemon.lines.filter(({ level }) => level === 'error')).toMatchObject([
    {
      event: 'stopped',
      error: expect.stringContaining('s3:AbortMultipartUpload'),
      hint: expect.stringContaining('Grant'),
    },
  ]);
  expect(place.store.count('PutObject', 'all')).toBe(0);
  place.store.faults = undefined;
  await place.start();
  await expectInvariants(place);
});

test.concurrent('the right to abort is taken away while it runs: what was to be aborted is, once it may', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { partSizeMiB: 5, concurrency: 1 } } });
  const daemon = await place.start();
  const { store } = place;
  store.faults = ({ operation }) => {
    if (operation === 'AbortMultipartUpload') return denied('s3:AbortMultipartUpload');
    return operation === 'UploadPart' ? { kind: 'delay', ms: 200 } : undefined;
  };
  // Not noted as dropped: it is replaced in the middle of its upload.
  await writeFile(join(place.inbox, 'large.bin'), Buffer.alloc(30 * mebibyte, 'first'));
  await vi.waitFor(() => expect(store.count('UploadPart')).toBeGreaterThanOrEqual(2), { timeout: 30_000 });
  await place.drop('large.bin', Buffer.alloc(12 * mebibyte, 'second'));
  await daemon.waitFor('uploaded');
  expect(store.answered.some(({ operation, status }) => operation === 'AbortMultipartUpload' && status === 403)).toBe(
    true,
  );
  expect(paused(place)).toEqual([]);
  daemon.signal('SIGTERM');
  await daemon.exited;
  store.faults = undefined;
  await place.start();
  // each start's proof of write access, and what was left
  await vi.waitFor(() => expect(store.answered.filter(aborted).length).toBe(3), { timeout: 30_000 });
  await expectInvariants(place);
});

const aborted = ({ operation, status }: LocalStore['answered'][number]) =>
  operation === 'AbortMultipartUpload' && status === 204;

/** Debian's package faketime. The dynamic linker puts the machine's own folder in the place of `$LIB`. */
const isFakeable = existsSync('/usr/bin/faketime') && globSync('/usr/lib/*/faketime/libfaketime.so.1').length > 0;
const clockOff = (by: string) => ({
  LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
  FAKETIME: by,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
  NO_FAKE_STAT: '1',
});

test.skipIf(!isFakeable).concurrent.each([
  ['fast', '+20m', 20],
  ['slow', '-20m', -20],
])('a clock that is 20 minutes %s: said once, and everything arrives', async (_how, offset, minutesFast) => {
  await using place = await makeWorkplace({ postgres });
  await place.drop('waits.txt', 'waits');
  const daemon = await place.start(clockOff(offset));
  await dropAll(place, 'during');
  const rows = await expectInvariants(place);
  const detectedMinutesAgo = (Date.now() - Date.parse(String(rows[0]?.detected_at))) / 60_000;
  expect(Math.round(-detectedMinutesAgo), 'its clock really is wrong').toBeCloseTo(minutesFast, -0.5);
  expect(daemon.named('warning')).toMatchObject([
    { level: 'warning', minutes_fast: minutesFast, hint: expect.stringContaining('timedatectl') },
  ]);
  expect(paused(place)).toEqual([]);
});
