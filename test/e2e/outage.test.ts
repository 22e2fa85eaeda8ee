import { expect, test } from 'vitest';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** S3 and Postgres go down and come back, each without the other; the journal says so once. */
const postgres = usePostgres();

test('Postgres is down at the start, and goes down later: uploads go on, and the rows come in their order', async () => {
  await using place = await makeWorkplace({ postgres });
  await postgres.stop();
  const daemon = await place.start();
  for (let file = 0; file < 10; file += 1) await place.drop(`early/${file}.txt`, `early ${file}`);
  await daemon.waitFor('uploaded', {}, 10);
  await daemon.waitFor('ledger-down', { level: 'warning' });
  await postgres.start();
  await daemon.waitFor('ledger-up');
  await expectInvariants(place);

  await postgres.stop('immediate');
  for (let file = 0; file < 10; file += 1) await place.drop(`late/${file}.txt`, `late ${file}`);
  await daemon.waitFor('uploaded', {}, 20);
  await daemon.waitFor('ledger-down', {}, 2);
  await postgres.start();
  await daemon.waitFor('ledger-up', {}, 2);
  const rows = await expectInvariants(place);

  expect(rows.map(({ id }) => id)).toEqual(daemon.named('uploaded').map(({ id }) => id));
  const recorded = rows.map(({ recorded_at }) => recorded_at.getTime());
  expect(recorded).toEqual(recorded.toSorted((one, other) => one - other));
  expect([daemon.named('ledger-down').length, daemon.named('ledger-up').length]).toEqual([2, 2]);
  expect(daemon.named('paused')).toEqual([]);
});

test.concurrent('S3 goes down: uploads pause, and go on by themselves', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.drop('before.txt', 'before');
  await daemon.waitFor('uploaded');
  await place.store.stop();
  for (let file = 0; file < 30; file += 1) await place.drop(`during/${file}.txt`, `during ${file}`);
  await daemon.waitFor('paused', { level: 'warning' });
  await place.store.start();
  await daemon.waitFor('resumed', { level: 'info' });
  await expectInvariants(place);
  expect([daemon.named('paused').length, daemon.named('resumed').length]).toEqual([1, 1]);
  expect(daemon.named('retrying').length).toBeLessThanOrEqual(daemon.named('paused').length * 16);
});

test.concurrent('S3 is down at the start: the daemon is ready, waits, and goes on by itself', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.store.stop();
  await place.drop('waiting.txt', 'waiting');
  const daemon = await place.start();
  await daemon.waitFor('paused', { level: 'warning' });
  await place.store.start();
  await daemon.waitFor('resumed');
  await expectInvariants(place);
  expect(daemon.named('paused')).toHaveLength(1);
});

test.concurrent('S3 answers with errors, cuts connections and loses answers: each file arrives once', async () => {
  await using place = await makeWorkplace({ postgres });
  place.store.faults = ({ operation, key, attempt }) => {
    if (operation !== 'PutObject' || attempt > 1) return undefined;
    const faults = [
      { kind: 'status', status: 503, code: 'SlowDown' },
      { kind: 'status', status: 500, code: 'InternalError' },
      { kind: 'reset-before' },
      { kind: 'reset-after' },
    ] as const;
    return faults[Number(/(\d+)\.txt$/.exec(key)?.[1]) % 5];
  };
  await place.start();
  for (let file = 0; file < 25; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
  const rows = await expectInvariants(place);
  expect(rows.map(({ status }) => status)).toEqual(Array(25).fill('uploaded'));
});
