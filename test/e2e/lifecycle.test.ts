import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { statusOf } from '../support/daemon-status.ts';
import { ownerOf } from '../support/daemon-store.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** Starting, stopping, reloading: what an operator does with the process, and what it says of itself. */
const postgres = usePostgres();

test.concurrent('SIGTERM finishes what is in flight, takes nothing new, and ends with 0', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  const underWay = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  place.store.faults = async ({ operation }) => {
    if (operation !== 'PutObject') return undefined;
    underWay.resolve();
    await released.promise;
    return undefined;
  };
  await place.drop('slow.txt', 'slow');
  await underWay.promise;
  daemon.signal('SIGTERM');
  await daemon.waitFor('stopping');
  expect(await statusOf(place)).toMatchObject({ phase: 'stopping', uploads: { underWay: [{ path: 'slow.txt' }] } });
  await place.drop('too late.txt', 'for the next start');
  released.resolve();
  expect(await daemon.exited).toEqual({ code: 0, signal: null });
  expect(daemon.lines.at(-1)).toMatchObject({ event: 'stopped', level: 'info' });
  using owner = ownerOf(place.store);
  expect([...(await owner.sizes()).keys()]).toEqual(['in/slow.txt']);
  expect((await place.rows()).map(({ path }) => path)).toEqual(['slow.txt']);

  await place.start();
  await expectInvariants(place);
});

test.concurrent.each(['SIGTERM', 'SIGINT'] as const)(
  'a second %s gives up what is in flight; the next start goes on with it',
  async (signal) => {
    await using place = await makeWorkplace({ postgres });
    const daemon = await place.start();
    const underWay = Promise.withResolvers<void>();
    place.store.faults = ({ operation }) => {
      if (operation !== 'PutObject') return undefined;
      underWay.resolve();
      return { kind: 'hang' };
    };
    await place.drop('hanging.txt', 'hanging');
    await underWay.promise;
    daemon.signal(signal);
    await daemon.waitFor('stopping');
    daemon.signal(signal);
    expect(await daemon.exited).toEqual({ code: 0, signal: null });
    expect(await place.rows()).toEqual([]);

    place.store.faults = undefined;
    await place.start();
    await expectInvariants(place);
  },
);

test('a stop while Postgres is down leaves the rows to the next start', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await postgres.stop();
  await place.drop('recorded later.txt', 'x');
  await daemon.waitFor('uploaded');
  daemon.signal('SIGTERM');
  expect(await daemon.exited).toEqual({ code: 0, signal: null });
  await postgres.start();
  await place.start();
  await expectInvariants(place);
});

test.concurrent('one daemon a folder: a second one refuses to start, and the first goes on', async () => {
  await using place = await makeWorkplace({ postgres });
  const first = await place.start();
  const second = place.spawn();
  expect(await second.exited).toEqual({ code: 78, signal: null });
  expect(second.lines).toMatchObject([
    { level: 'error', event: 'stopped', error: expect.stringContaining(`pid ${first.pid}`), hint: expect.any(String) },
  ]);
  await place.drop('one.txt', 'one');
  await expectInvariants(place);
});

test.concurrent('a wrong configuration: exit 78, with every problem on a line of its own', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.configure({
    dropFolder: { path: 'inbox', settleMs: -1 },
    s3: { bucket: '', ...({ colour: 'red' } as object) },
    ledger: { host: 'db.example.org' },
  });
  const daemon = place.spawn();
  expect(await daemon.exited).toEqual({ code: 78, signal: null });
  expect(daemon.lines.map(({ level, key }) => [level, key]).sort()).toEqual([
    ['error', 'dropFolder.path'],
    ['error', 'dropFolder.settleMs'],
    ['error', 'ledger.tls'],
    ['error', 's3.bucket'],
    ['error', 's3.colour'],
  ]);
});

test.concurrent('a bucket that does not exist: exit 78', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { bucket: 'no-such-bucket' } } });
  const daemon = place.spawn();
  expect(await daemon.exited).toEqual({ code: 78, signal: null });
  expect(daemon.lines.at(-1)).toMatchObject({ level: 'error', error: expect.stringContaining('NoSuchBucket') });
});

test.concurrent('SIGHUP takes up what can be taken up, says what needs a restart, and keeps the old where the new is wrong', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.configure({ log: { level: 'debug' }, s3: { concurrency: 3 } });
  daemon.signal('SIGHUP');
  await daemon.waitFor('reloaded', { level: 'info', applied: 'log.level' });
  await daemon.waitFor('reloaded', { level: 'warning', not_applied: 's3.concurrency' });
  await place.drop('at debug level.txt', 'x');
  await expectInvariants(place);

  await place.configure({ s3: { concurrency: 0 } });
  daemon.signal('SIGHUP');
  await daemon.waitFor('reloaded', { level: 'error', key: 's3.concurrency' });
  await place.drop('still running.txt', 'y');
  await expectInvariants(place);
});

test.concurrent('every line is JSON, the warnings of the runtime included, and no secret is in the process list', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start({
    NODE_OPTIONS: `--import data:text/javascript,setTimeout(()=>process.emitWarning('from_the_runtime'),100)`,
  });
  await daemon.waitFor('warning', { error: 'from_the_runtime', level: 'warning' });
  const commandLine = await readFile(`/proc/${daemon.pid}/cmdline`, 'utf8');
  expect(commandLine).toContain(place.configFile);
  for (const secret of [place.store.writer.secretAccessKey, place.store.writer.accessKeyId]) {
    expect(commandLine).not.toContain(secret);
  }
  await expectInvariants(place); // whose disposal throws at a line that is not JSON
});
