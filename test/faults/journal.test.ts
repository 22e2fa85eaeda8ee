import { copyFile, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { journalFiles } from '../../src/journal/journal.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import type { Daemon } from '../support/daemon.ts';
import { sha256Of } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { runProgram } from '../support/daemon-program.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { watchedSteps } from '../support/faults/die-at-point.ts';
import { failingSyncs } from '../support/faults/failing-sync.ts';
import { expectNothingLost } from '../support/faults/nothing-lost.ts';
import { usePostgres } from '../support/postgres.ts';

/** The local journal is lost, corrupt, or an earlier copy: no file is lost, at most one object and row of each too many. */
const postgres = usePostgres();
const mebibyte = 2 ** 20;

const damages: readonly (readonly [
  how: string,
  level: 'info' | 'error',
  damage: (journal: string) => Promise<void>,
])[] = [
  ['lost with all that lay beside it', 'info', (journal) => removeAll(journal)],
  ['lost', 'error', (journal) => rm(journal)],
  ['cut to nothing', 'error', (journal) => writeFile(journal, '')],
  ['cut in half', 'error', async (journal) => truncate(journal, ((await stat(journal)).size >> 13) << 12)],
  [
    'garbage from its first byte on',
    'error',
    async (journal) => writeFile(journal, Buffer.alloc((await stat(journal)).size, 'no database')),
  ],
  [
    'garbage in its pages',
    'error',
    async (journal) => {
      const bytes = await readFile(journal);
      await writeFile(journal, bytes.fill(0xa5, 8192, bytes.length - 4096));
    },
  ],
];

test.each(damages)('the journal is %s', async (_how, level, damage) => {
  await using place = await makeWorkplace({ postgres, config: { s3: { partSizeMiB: 5 } } });
  await workUnderWay(place);
  await damage(journalOf(place));
  const daemon = await place.start();
  expect(daemon.named('journal-reset')).toMatchObject([
    { level, message: expect.stringContaining('a new one begins') },
  ]);
  await expectNothingLost(place);
  const said = daemon.named('journal-reset')[0];
  if (level === 'error') expect(said?.['hint']).toContain('journal rebuild');
  if (said?.message?.includes('corrupt')) expect((await stat(String(said['moved_to']))).isFile()).toBe(true);
});

/** Files in every state that a journal can know: not uploaded, stored and not recorded, recorded and not moved. */
async function workUnderWay(place: Workplace): Promise<void> {
  const daemon = await place.start();
  await postgres.stop();
  for (let file = 0; file < 5; file += 1) await place.drop(`stored/${file}.txt`, `stored ${file}`);
  await place.drop('large.bin', Buffer.alloc(6 * mebibyte, 'in parts'));
  await daemon.waitFor('uploaded', {}, 6);
  await daemon.kill();
  await postgres.start();
  await place.drop('waiting.txt', 'not uploaded');
  const dying = place.spawn(watchedSteps(join(place.folder, 'steps'), { step: 'rename', when: 'before', nth: 3 }));
  expect(await dying.exited).toMatchObject({ signal: 'SIGKILL' });
  await place.drop('another.txt', 'not seen yet');
  await foldIntoOneFile(place);
}

const journalOf = ({ config }: Workplace): string => config.journal?.path ?? '';

const removeAll = async (journal: string): Promise<void> => {
  for (const file of journalFiles(journal)) await rm(file, { force: true });
};

/** As SQLite does at a clean stop: what is damaged is all that there is. */
async function foldIntoOneFile(place: Workplace): Promise<void> {
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(journalOf(place));
  database.exec('PRAGMA journal_mode = DELETE');
  database.close();
}

test.each([
  ['over the one that is there', [''], false],
  ['with all that lay beside it, as other files', ['', '-start'], true],
])('an earlier copy of the journal is restored, %s', async (_how, suffixes, asOtherFiles) => {
  const config = { s3: { partSizeMiB: 5 }, dropFolder: { afterUpload: 'keep' } } as const;
  await using place = await makeWorkplace({ postgres, config });
  const journal = journalOf(place);
  const backup = join(place.folder, 'backup');
  await mkdir(backup);
  await place.drop('before.txt', 'before the copy');
  const first = await place.start();
  await expectInvariants(place);
  await stop(first);
  for (const suffix of suffixes) await copyFile(journal + suffix, join(backup, basename(journal) + suffix));

  const second = await place.start();
  await place.drop('recorded.txt', 'recorded after the copy');
  await place.drop('large.bin', Buffer.alloc(6 * mebibyte, 'in parts'));
  await expectInvariants(place);
  expect(second.named('journal-reset')).toEqual([]);
  await postgres.stop();
  await place.drop('not recorded.txt', 'its row is lost with the journal');
  await second.waitFor('uploaded', { path: 'not recorded.txt' });
  await second.kill();
  await postgres.start();

  if (asOtherFiles) await removeAll(journal);
  else for (const suffix of ['-wal', '-shm']) await rm(journal + suffix, { force: true });
  for (const suffix of suffixes) await copyFile(join(backup, basename(journal) + suffix), journal + suffix);
  const third = await place.start();
  expect(third.named('journal-reset')).toMatchObject([{ level: 'error', message: expect.stringContaining('copy') }]);
  const rows = await expectNothingLost(place);
  expect(rows.filter(({ path }) => path === 'before.txt')).toHaveLength(1);
  await stop(third);
  const fourth = await place.start();
  expect(fourth.named('journal-reset')).toEqual([]);
  await place.drop('after.txt', 'after all that');
  await fourth.waitFor('uploaded', { path: 'after.txt' });
  await expectNothingLost(place);
});

async function stop(daemon: Daemon): Promise<void> {
  daemon.signal('SIGTERM');
  await daemon.exited;
}

test.each(damages)(
  'the journal is %s, a new version is dropped, and the answer to its put is lost: what lay there is not taken for it',
  async (_how, _level, damage) => {
    await using place = await makeWorkplace({ postgres });
    const first = await place.start();
    await place.drop('report.txt', 'the earlier version');
    await expectInvariants(place);
    await stop(first);
    await foldIntoOneFile(place);
    await damage(journalOf(place));
    place.store.faults = ({ operation, key, attempt }) =>
      operation === 'PutObject' && key === 'in/report.txt' && attempt === 2 ? { kind: 'reset-before' } : undefined;
    await place.drop('report.txt', 'the new version');
    await place.start();
    const rows = await expectNothingLost(place);
    expect(rows.map(({ object_key }) => object_key)).toEqual([
      'in/report.txt',
      `in/report~${sha256Of('the new version').slice(0, 8)}.txt`,
    ]);
  },
);

const rebuild = ({ configFile, database, env }: Workplace, ...more: string[]) => {
  const login = ['--user', 'dropledger_reader', '--password-file', database.reader.passwordFile ?? ''];
  return runProgram(['journal', 'rebuild', '--config', configFile, ...login, ...more], env);
};

test('journal rebuild: a folder whose files stay is known again, and nothing is sent twice', async () => {
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { afterUpload: 'keep' } } });
  const daemon = await place.start();
  const names = ['plain.txt', 'deep/er/one.txt', 'back\\slash', 'two\\\\ and \\x41', 'new\nline', 'café'];
  for (const name of names) await place.drop(name, `content of ${name}`);
  await place.drop('changed.txt', 'as it was');
  await place.drop(Buffer.from('not utf-8 \xff', 'latin1'), 'refused', /not valid UTF-8/);
  await expectInvariants(place);

  const refused = await rebuild(place);
  expect(refused).toMatchObject({ code: 78, stderr: expect.stringContaining(`pid ${daemon.pid}`) });
  await stop(daemon);
  await removeAll(journalOf(place));
  await writeFile(join(place.inbox, 'changed.txt'), 'as it is');
  const path = pathFromText('changed.txt');
  place.note({ path, size: 8, sha256: sha256Of('as it is'), rejected: undefined });
  await place.drop('new.txt', 'new');

  const { code, stdout, stderr } = await rebuild(place, '--json');
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toMatchObject({ rows: 7, objects: 7, known: 0, recognised: 6, left: 2 });
  expect(JSON.parse((await rebuild(place, '--json')).stdout)).toMatchObject({ objects: 0, known: 6, recognised: 0 });

  const next = await place.start();
  await expectInvariants(place);
  expect(next.named('journal-reset')).toEqual([]);
  expect(
    next
      .named('uploaded')
      .map((line) => line['path'])
      .sort(),
  ).toEqual(['changed.txt', 'new.txt']);
});

test('journal rebuild: what was recorded and not moved is moved, and not sent again', async () => {
  await using place = await makeWorkplace({ postgres });
  for (let file = 0; file < 5; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
  const notes = join(place.folder, 'steps');
  const daemon = place.spawn(watchedSteps(notes, { step: 'rename', when: 'before', nth: 2 }));
  expect(await daemon.exited).toMatchObject({ signal: 'SIGKILL' });
  await removeAll(journalOf(place));
  const { code, stdout } = await rebuild(place);
  expect(code).toBe(0);
  expect(stdout).toMatch(/files of the folder are known again/);
  await place.start();
  await expectInvariants(place);
});

test('journal rebuild says so where the ledger has nothing of this host', async () => {
  await using place = await makeWorkplace({ postgres });
  const { code, stdout } = await rebuild(place, '--host', 'another-host');
  expect(code).toBe(0);
  expect(stdout).toMatch(/no rows of another-host/);
});

test.each([4, 5, 6, 7, 8])(
  'sync %d of the journal fails: the daemon ends, says so, and the next start goes on',
  async (nth) => {
    await using place = await makeWorkplace({ postgres, config: { dropFolder: { settleMs: 20 } } });
    for (let file = 0; file < 20; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
    const first = place.spawn(failingSyncs(nth));
    expect(await first.exited).toEqual({ code: 1, signal: null });
    expect(first.output()).toContain('cannot be written to disk: EIO');
    await place.start();
    await expectInvariants(place);
  },
);
