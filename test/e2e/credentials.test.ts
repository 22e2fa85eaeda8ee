import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { filesIn } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** Credentials come first: without good ones nothing is tried; with new ones everything goes on by itself. */
const postgres = usePostgres();

test.concurrent('refused at the start: exit 77, one notice that says how to mend it, and nothing is tried', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.logIn({ ...place.store.writer, secretAccessKey: 'mistyped-secret' });
  await place.drop('waits.txt', 'waits');
  const daemon = place.spawn();
  expect(await daemon.exited).toEqual({ code: 77, signal: null });
  expect(daemon.lines.filter(({ level }) => level === 'error')).toMatchObject([
    {
      event: 'stopped',
      error: expect.stringContaining('profile default'),
      hint: expect.stringContaining('aws configure'),
    },
  ]);
  expect(daemon.output()).not.toContain('mistyped-secret');
  expect(place.store.count('PutObject', 'all')).toBe(0);

  await place.logIn(place.store.writer);
  await place.start();
  await expectInvariants(place);
});

test.concurrent('none at all: exit 77, and the notice names the ways to get some', async () => {
  await using place = await makeWorkplace({ postgres });
  await rm(join(place.home, '.aws'), { recursive: true });
  const daemon = place.spawn({ AWS_EC2_METADATA_DISABLED: 'true' }); // the tests may run on EC2
  expect(await daemon.exited).toEqual({ code: 77, signal: null });
  expect(daemon.lines.filter(({ level }) => level === 'error')).toMatchObject([
    { event: 'stopped', hint: expect.stringMatching(/aws configure sso.*instance role/) },
  ]);
  expect(place.store.answered).toEqual([]);
});

test.concurrent('good ones that may not write under the prefix: exit 77', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { prefix: 'elsewhere/' } } });
  const daemon = place.spawn();
  expect(await daemon.exited).toEqual({ code: 77, signal: null });
  expect(daemon.lines.filter(({ level }) => level === 'error')).toMatchObject([
    { event: 'stopped', error: expect.stringContaining('s3:PutObject'), hint: expect.stringMatching(/s3:PutObject/) },
  ]);
  expect(place.store.count('PutObject', 'all')).toBe(0);
});

test.concurrent('refused while running: uploads pause with one notice, and go on once ~/.aws/credentials is edited', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.drop('before.txt', 'before');
  await daemon.waitFor('uploaded');
  await vi.waitFor(async () => expect(await filesIn(place.inbox)).toEqual([]), 5000);

  const { credentials, prefix } = place.store;
  credentials.splice(1, 1);
  for (let file = 0; file < 20; file += 1) await place.drop(`during/${file}.txt`, `during ${file}`);
  await daemon.waitFor('paused', {
    level: 'error',
    error: /credentials from .*\.aws\/credentials/,
    hint: /aws configure/,
  });
  expect(await filesIn(place.inbox)).toHaveLength(20);

  const renewed = { accessKeyId: 'AKIARENEWED', secretAccessKey: 'renewed-secret-of-the-test' };
  credentials.push({ ...renewed, role: 'write-only', prefix });
  await place.logIn(renewed);
  await daemon.waitFor('resumed');
  await expectInvariants(place);
  expect([daemon.named('paused').length, daemon.named('resumed').length]).toEqual([1, 1]);
  expect(daemon.output()).not.toContain(renewed.secretAccessKey);
});

test.concurrent('whoever hands them out cannot be reached yet: the daemon starts, waits, and goes on by itself', async () => {
  await using place = await makeWorkplace({ postgres });
  await rm(join(place.home, '.aws'), { recursive: true });
  const temporary = {
    accessKeyId: 'ASIATEMPORARY',
    secretAccessKey: 'temporary-secret',
    sessionToken: 'temporary-token',
  };
  place.store.credentials.push({ ...temporary, role: 'write-only', prefix: place.store.prefix });
  const agent = createServer((_request, response) => {
    const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token } = temporary;
    const Expiration = new Date(Date.now() + 3_600_000).toISOString();
    response.end(JSON.stringify({ AccessKeyId, SecretAccessKey, Token, Expiration }));
  });
  const port = await listen(agent, 0);
  await close(agent);
  await place.drop('waits.txt', 'waits');
  const daemon = await place.start({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/role` });
  await daemon.waitFor('paused', { level: 'warning' });
  await listen(agent, port);
  try {
    await daemon.waitFor('resumed');
    await expectInvariants(place);
    expect(daemon.output()).not.toMatch(/temporary-(secret|token)/);
  } finally {
    await close(agent);
  }
});

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await once(server.close(), 'close');
}
