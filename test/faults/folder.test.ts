import { renameSync } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { sha256Of } from '../support/daemon-files.ts';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { mountDisk, whyNoMounts } from '../support/faults/mounted-disk.ts';
import { useLedgerByTcp } from '../support/faults/tcp-ledger.ts';
import { usePostgres } from '../support/postgres.ts';

/** What may happen to the drop folder itself, and to the events that tell of it: nothing is missed, nothing is sent twice. */
const postgres = usePostgres({ tcp: true });
const reason = whyNoMounts();

/** Far more than the kernel keeps of events that nobody takes (fs.inotify.max_queued_events is 16,384). */
const filesInAStall = 40_000;

test('the event loop stalls while more happens than the kernel remembers: rescans find what no event told of', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.drop('folder/before.txt', 'before');
  await allDone(place);
  daemon.signal('SIGSTOP');
  const folder = join(place.inbox, 'folder');
  await mkdir(folder, { recursive: true });
  for (let file = 0; file < filesInAStall; file += 1) await writeFile(join(folder, `${file}.part`), '');
  for (let file = 0; file < 300; file += 1) {
    const name = `folder/${file}.dat`;
    await writeFile(join(place.inbox, `folder/${file}.part`), name);
    await rename(join(place.inbox, `folder/${file}.part`), join(place.inbox, name));
    note(place, name, name);
  }
  for (let file = 300; file < filesInAStall; file += 1) await rm(join(folder, `${file}.part`));
  daemon.signal('SIGCONT');
  await expectInvariants(place);
});

const note = (place: Workplace, name: string, content: string): void =>
  place.note({ path: pathFromText(name), size: content.length, sha256: sha256Of(content), rejected: undefined });

test.concurrent('the drop folder is deleted and made again', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.drop('first/one.txt', 'one');
  await allDone(place);
  await rm(place.inbox, { recursive: true });
  await daemon.waitFor('warning', { path: place.inbox });
  await mkdir(place.inbox);
  await place.drop('second/two.txt', 'two');
  await expectInvariants(place);
  await place.drop('second/three.txt', 'three');
  await expectInvariants(place);
});

test.concurrent('the drop folder is renamed away, with files that wait, and comes back', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.store.stop();
  for (let file = 0; file < 20; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
  await daemon.waitFor('paused');
  await rename(place.inbox, `${place.inbox} away`);
  await daemon.waitFor('warning', { path: place.inbox });
  await place.store.start();
  await daemon.waitFor('resumed');
  await rename(`${place.inbox} away`, place.inbox);
  await expectInvariants(place);
  expect(daemon.named('gone')).toEqual([]);
});

test.concurrent('files are renamed a thousand times a second: each is uploaded under its last name', async () => {
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { settleMs: 1500 } } });
  const daemon = await place.start();
  const files = Array.from({ length: 50 }, (_, index) => ({ index, name: `0-${index}` }));
  for (const { name } of files) await writeFile(join(place.inbox, name), `content of ${name}`);
  for (let round = 1; round <= 50; round += 1) {
    for (const file of files) {
      const next = `${round}-${file.index}`;
      renameSync(join(place.inbox, file.name), join(place.inbox, next));
      file.name = next;
    }
    await sleep(50);
  }
  for (const { name, index } of files) note(place, name, `content of 0-${index}`);
  await expectInvariants(place);
  expect(daemon.named('uploaded')).toHaveLength(files.length);
});

test.concurrent('a folder 200 levels deep', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.start();
  for (let depth = 50; depth <= 200; depth += 50) await place.drop(`${'d/'.repeat(depth)}file.txt`, `at ${depth}`);
  await expectInvariants(place);
  await place.drop(`${'d/'.repeat(200)}later.txt`, 'when all of that is there no more');
  await expectInvariants(place);
});

/** Limits of a user namespace of its own; what becomes of it is the daemon. */
const limited = (limit: string) => [
  ...['unshare', '--user', '--map-root-user', 'sh', '-c'],
  `echo ${limit} && exec "$0" "$@"`,
];

test.concurrent.each([
  ['watches', '5 > /proc/sys/user/max_inotify_watches', /max_user_watches/],
  ['instances', '0 > /proc/sys/user/max_inotify_instances', /max_user_instances/],
])('no inotify %s are left: one warning, and rescans find all', async (_what, limit, cure) => {
  await using place = await makeWorkplace({ postgres, through: limited(limit) });
  await useLedgerByTcp(place, postgres);
  const daemon = await place.start();
  for (let file = 0; file < 60; file += 1) await place.drop(`folder ${file % 20}/${file}.txt`, `content ${file}`);
  await expectInvariants(place);
  await place.drop('folder 7/later.txt', 'later');
  await expectInvariants(place);
  const warnings = daemon.lines.filter(({ level }) => level === 'warning');
  expect(warnings).toMatchObject([{ event: 'warning', error: expect.stringMatching(cure) }]);
});

describe.skipIf(reason !== undefined)(
  `the drop folder's disk${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    test.each([
      ['the same number', false],
      ['another number', true],
    ])(
      'is unmounted and mounted again as a device of %s: nothing is forgotten, nothing sent again',
      async (_how, renumbered) => {
        await using files = await mountDisk(32);
        const config = { dropFolder: { afterUpload: 'keep' } } as const;
        await using place = await makeWorkplace({ postgres, config, disks: { files: files.path } });
        const daemon = await place.start();
        for (let file = 0; file < 10; file += 1) await place.drop(`kept/${file}.txt`, `content ${file}`);
        await expectInvariants(place);
        const device = (await stat(place.inbox)).dev;

        await files.unmount();
        await daemon.waitFor('warning', { path: place.inbox });
        await using inItsPlace = renumbered ? await mountDisk(32) : undefined;
        await files.mount();
        expect((await stat(place.inbox)).dev === device).toBe(!renumbered);
        await place.drop('kept/after.txt', 'after that');
        await expectInvariants(place);
        await place.drop('another/later.txt', 'and later');
        await expectInvariants(place);
        await vi.waitFor(() => expect(daemon.named('uploaded')).toHaveLength(12));
        expect(inItsPlace?.path).not.toBe(files.path);

        await daemon.kill();
        const next = await place.start();
        await place.drop('kept/last.txt', 'after a start');
        await expectInvariants(place);
        expect(next.named('uploaded')).toHaveLength(1);
      },
    );
  },
);
