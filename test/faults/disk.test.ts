import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { filesIn } from '../support/daemon-files.ts';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { mountDisk, whyNoMounts } from '../support/faults/mounted-disk.ts';
import { usePostgres } from '../support/postgres.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** The disks of archive, quarantine and journal: full, read-only, elsewhere; and names that are taken there. */
const postgres = usePostgres();
const run = promisify(execFile);
const reason = whyNoMounts();

const recorded = async ({ database, drops }: Workplace): Promise<void> => {
  const all = async () => {
    const { rows } = await database.query('SELECT count(*)::int AS count FROM dropledger.uploads');
    expect(rows[0].count).toBe(drops.length);
  };
  await vi.waitFor(all, { timeout: 45_000, interval: 50 });
};

/** Takes all the room there is. */
async function fill(disk: string): Promise<{ free(): Promise<void> }> {
  const file = join(disk, 'filler');
  await run('dd', ['if=/dev/zero', `of=${file}`, 'bs=64k']).catch(() => undefined);
  await run('dd', ['if=/dev/zero', `of=${file}2`, 'bs=512']).catch(() => undefined);
  return {
    async free() {
      await rm(file);
      await rm(`${file}2`);
    },
  };
}

const errors = (daemon: Daemon) => daemon.lines.filter(({ level }) => level === 'error');

describe.skipIf(reason !== undefined)(`a disk${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test.concurrent('archive and quarantine full: it is said once, and what is recorded waits until there is room', async () => {
    await using files = await mountDisk(16);
    await using place = await makeWorkplace({ postgres, disks: { files: files.path } });
    for (let file = 0; file < 40; file += 1) await place.drop(`folder ${file % 4}/${file}.txt`, `content ${file}`);
    await place.drop(Buffer.from('not utf-8 \xff', 'latin1'), 'refused', /not valid UTF-8/);
    const filler = await fill(files.path);
    const daemon = await place.start();
    await recorded(place);
    await daemon.waitFor('warning', { level: 'error', error: /ENOSPC/ });
    expect(place.store.count('PutObject')).toBe(40);
    await filler.free();
    await expectInvariants(place);
    expect(errors(daemon).filter(({ event }) => event === 'warning')).toHaveLength(1);
  });

  test.concurrent('the journal full: nothing is uploaded that it could not note, and it goes on by itself', async () => {
    await using state = await mountDisk(16, 'tmpfs');
    await using place = await makeWorkplace({ postgres, disks: { journal: state.path } });
    const daemon = await place.start();
    await place.drop('before.txt', 'before');
    await allDone(place);
    const filler = await fill(state.path);
    for (let file = 0; file < 200; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
    await daemon.waitFor('warning', { level: /error|warning/, error: /full/ });
    await filler.free();
    await expectInvariants(place);
    const said = daemon.lines.filter(({ event, level }) => event === 'warning' && level !== 'info');
    expect(said.length).toBeLessThanOrEqual(4);
  });

  test('becomes read-only: what is recorded waits, and is moved once it can be written again', async () => {
    await using files = await mountDisk(16);
    await using place = await makeWorkplace({ postgres, disks: { files: files.path } });
    const daemon = await place.start();
    await postgres.stop();
    for (let file = 0; file < 10; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
    await daemon.waitFor('uploaded', {}, 10);
    await run('mount', ['-o', 'remount,ro', files.path]);
    await postgres.start();
    await daemon.waitFor('warning', { level: 'error', error: /EROFS/ });
    await recorded(place);
    await run('mount', ['-o', 'remount,rw', files.path]);
    await expectInvariants(place);
    expect(errors(daemon)).toHaveLength(1);
  });

  test.concurrent('of the journal is read-only at the start: it says so and ends', async () => {
    await using state = await mountDisk(4);
    await using place = await makeWorkplace({ postgres, disks: { journal: state.path } });
    await run('mount', ['-o', 'remount,ro', state.path]);
    const daemon = place.spawn();
    expect(await daemon.exited).toEqual({ code: 1, signal: null });
    expect(errors(daemon)).toMatchObject([{ error: expect.stringContaining('journal'), hint: expect.any(String) }]);
  });

  test.concurrent.each(['archive', 'quarantine'] as const)(
    '%s on another file system, or behind a bind mount of the same one: it says so and ends',
    async (which) => {
      await using files = await mountDisk(16);
      await using other = await mountDisk(16);
      await using place = await makeWorkplace({ postgres, disks: { files: files.path } });
      const key = which === 'archive' ? 'archivePath' : 'quarantinePath';
      const refused = async () => {
        const daemon = place.spawn();
        expect(await daemon.exited).toEqual({ code: 78, signal: null });
        expect(errors(daemon)).toMatchObject([
          { error: expect.stringMatching(`${key}.*EXDEV`), hint: expect.stringContaining('mount') },
        ]);
      };
      await mkdir(join(files.path, 'elsewhere'));
      await run('mount', ['--bind', join(files.path, 'elsewhere'), place[which]]);
      expect((await stat(place[which])).dev).toBe((await stat(place.inbox)).dev);
      await refused();
      await run('umount', [place[which]]);
      await place.configure({ dropFolder: { [key]: join(other.path, 'there') } });
      await refused();
    },
  );

  test.concurrent('of the archive is mounted over while it runs: not movable, never sent again, moved later', async () => {
    await using files = await mountDisk(16);
    await using place = await makeWorkplace({ postgres, disks: { files: files.path } });
    const daemon = await place.start();
    await mkdir(join(files.path, 'elsewhere'));
    await run('mount', ['--bind', join(files.path, 'elsewhere'), place.archive]);
    for (let file = 0; file < 5; file += 1) await place.drop(`${file}.txt`, `content ${file}`);
    await recorded(place);
    await daemon.waitFor('not-movable', { level: 'warning', error: /EXDEV/ });
    await daemon.kill();
    await run('umount', [place.archive]);
    await place.start();
    await expectInvariants(place);
    expect(daemon.named('not-movable')).toHaveLength(1);
  });
});

test.concurrent('names that are taken in the archive, or grow too long there: nothing is replaced, all is moved', async () => {
  await using place = await makeWorkplace({ postgres });
  const longest = `${'x'.repeat(251)}.txt`;
  const there = {
    'taken.txt': 'was there',
    [longest]: 'was there too',
    'a folder': 'is a file',
    'a file/in it': 'kept',
  };
  for (const [name, content] of Object.entries(there)) {
    await mkdir(join(place.archive, name, '..'), { recursive: true });
    await writeFile(join(place.archive, name), content);
  }
  await place.start();
  for (const name of ['taken.txt', longest, 'a folder/one.txt', 'a file']) await place.drop(name, `new ${name}`);
  const deep = `${`${'d'.repeat(250)}/`.repeat(3)}${'n'.repeat(255)}`;
  await place.drop(deep, 'a long way down');
  const tooLongWithReason = Buffer.concat([Buffer.alloc(254, 'q'), Buffer.from([0xff])]);
  await place.drop(tooLongWithReason, 'refused', /not valid UTF-8/);
  await allDone(place);
  const rows = await place.rows();
  for (const [name, content] of Object.entries(there)) {
    expect(await readFile(join(place.archive, name), 'utf8')).toBe(content);
  }
  const archived = await filesIn(place.archive);
  const contents = await Promise.all(archived.map((path) => readFile(join(place.archive, path), 'utf8')));
  const dropped = ['taken.txt', longest, 'a folder/one.txt', 'a file'].map((name) => `new ${name}`);
  expect(contents.sort()).toEqual([...Object.values(there), ...dropped, 'a long way down'].sort());
  const idOf = (path: string) => rows.find((row) => row.path === path)?.id;
  expect(archived).toContain(`taken~${idOf('taken.txt')}.txt`);
  expect(archived.find((path) => path.includes(`~${idOf(longest)}.txt`))).toHaveLength(255);
  const quarantined = await filesIn(place.quarantine);
  expect(quarantined).toHaveLength(2);
  for (const path of quarantined) expect(path.length).toBeLessThanOrEqual(255);
});

test.concurrent('a name in the quarantine that is taken, and its reason as well: nothing is replaced', async () => {
  await using place = await makeWorkplace({ postgres });
  const name = Buffer.from('bad \xff', 'latin1');
  const at = (suffix: string) => Buffer.concat([Buffer.from(`${place.quarantine}/`), name, Buffer.from(suffix)]);
  await writeFile(at(''), 'an earlier one');
  await writeFile(at('.reason.json'), 'and its reason');
  await place.start();
  await place.drop(name, 'refused', /not valid UTF-8/);
  await allDone(place);
  await vi.waitFor(async () => expect(await filesIn(place.quarantine)).toHaveLength(4), { timeout: 10_000 });
  expect(await readFile(at(''), 'utf8')).toBe('an earlier one');
  expect(await readFile(at('.reason.json'), 'utf8')).toBe('and its reason');
});

test('a folder that is not there any more when it starts is said, with the key that names it', async () => {
  await using gone = await tempFolder();
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { path: gone.at('nowhere') } } });
  const daemon = place.spawn();
  expect(await daemon.exited).toEqual({ code: 78, signal: null });
  expect(errors(daemon)).toMatchObject([{ error: expect.stringContaining('dropFolder.path') }]);
});
