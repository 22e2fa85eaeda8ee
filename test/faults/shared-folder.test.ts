import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { filesIn, sha256Of } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { useLedgerByTcp } from '../support/faults/tcp-ledger.ts';
import { usePostgres } from '../support/postgres.ts';

/**
 * A folder that several people share: setgid, the daemon in its group and nobody in particular. What others bring may
 * be readable and not movable, or not even readable, depending on how they copy.
 */
const postgres = usePostgres({ tcp: true });
const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;
const mayBeSkipped = process.env['DROPLEDGER_REQUIRE_FAULTS'] !== '1';
const reason = isRoot || !mayBeSkipped ? undefined : 'to be several users needs root';

const group = 54_321;
const daemonUser = 54_322;
const alice = 54_323;

const asUser = (user: number): string[] => [
  ...['setpriv', `--reuid=${user}`, `--regid=${user}`, `--groups=${group}`, '--pdeathsig', 'KILL'],
];

async function makeSharedWorkplace(): Promise<Workplace> {
  const place = await makeWorkplace({ postgres, through: asUser(daemonUser) });
  await useLedgerByTcp(place, postgres);
  await run('chown', ['-R', `${daemonUser}:${daemonUser}`, place.folder]);
  await chmod(place.folder, 0o711);
  await chown(place.inbox, 0, group);
  await chmod(place.inbox, 0o2770);
  return place;
}

/** A shell of hers, in a folder of hers, with what most people have for umask. */
async function byAlice({ folder, inbox }: Workplace, commands: string): Promise<void> {
  const home = join(folder, 'alice');
  await mkdir(home, { recursive: true });
  await chown(home, alice, alice);
  const [setpriv = '', ...args] = asUser(alice);
  await run(setpriv, [...args, 'sh', '-ec', `umask 022; cd ${home}; ${commands}`], { env: { ...process.env, inbox } });
}

const note = (place: Workplace, path: string, content: string): void =>
  place.note({ path: pathFromText(path), size: content.length, sha256: sha256Of(content), rejected: undefined });

describe.skipIf(reason !== undefined)(`a shared folder${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('whichever way people copy: recorded once, never sent again, moved as soon as it may be', async () => {
    await using place = await makeSharedWorkplace();
    const daemon = await place.start();
    await byAlice(
      place,
      `mkdir tree; printf tree > tree/a.txt; printf plain > plain.txt
       mkdir $inbox/by-mkdir; printf mkdir > $inbox/by-mkdir/a.txt
       cp -r tree $inbox/by-cp-r; cp -rp tree $inbox/by-cp-p; rsync -a tree/ $inbox/by-rsync
       cp plain.txt $inbox/cp.txt; cp -p plain.txt $inbox/cp-p.txt; rsync -a plain.txt $inbox/rsync.txt
       install -m 0640 plain.txt $inbox/group.txt`,
    );
    const folders = ['by-mkdir', 'by-cp-r', 'by-cp-p', 'by-rsync'];
    const stuck = folders.map((folder) => `${folder}/a.txt`);
    for (const path of stuck) note(place, path, path.startsWith('by-mkdir') ? 'mkdir' : 'tree');
    const movable = ['cp.txt', 'cp-p.txt', 'rsync.txt', 'group.txt'];
    for (const path of movable) note(place, path, 'plain');

    await vi.waitFor(async () => expect(await place.rows()).toHaveLength(8), { timeout: 45_000 });
    await vi.waitFor(async () => expect((await filesIn(place.inbox)).sort()).toEqual(stuck.toSorted()));
    await vi.waitFor(() => expect(daemon.named('not-movable')).toHaveLength(folders.length));
    expect(
      daemon
        .named('not-movable')
        .map((line) => line['folder'])
        .sort(),
    ).toEqual(folders.toSorted());
    expect(daemon.named('not-movable')[0]).toMatchObject({
      level: 'warning',
      hint: expect.stringContaining('chmod g+w'),
    });

    await daemon.kill();
    const next = await place.start();
    await byAlice(place, 'printf more > $inbox/more.txt');
    note(place, 'more.txt', 'more');
    await next.waitFor('uploaded', { path: 'more.txt' });
    expect(next.named('uploaded')).toHaveLength(1);
    expect(await place.rows()).toHaveLength(9);

    for (const folder of folders) await byAlice(place, `chmod g+w $inbox/${folder}; chgrp ${group} $inbox/${folder}`);
    await next.kill();
    await place.start();
    await expectInvariants(place);
  });

  test('what may not be read waits, and is said; it goes once it may be', async () => {
    await using place = await makeSharedWorkplace();
    const daemon = await place.start();
    await byAlice(
      place,
      `(umask 077; printf secret > $inbox/secret.txt)
       printf own > own.txt; chmod 0640 own.txt; cp -p own.txt $inbox/own.txt
       mkdir -m 0700 $inbox/closed; printf closed > $inbox/closed/a.txt
       printf open > $inbox/open.txt`,
    );
    note(place, 'open.txt', 'open');
    await vi.waitFor(async () => expect(await place.rows()).toHaveLength(1), { timeout: 45_000 });
    for (const path of ['secret.txt', 'own.txt']) {
      const hint = expect.stringContaining('read');
      expect(await daemon.waitFor('retrying', { path })).toMatchObject({ level: 'warning', hint });
    }
    expect(await daemon.waitFor('warning', { path: 'closed' })).toMatchObject({
      hint: expect.stringContaining('read'),
    });
    expect(await readdir(place.quarantine)).toEqual([]);

    await byAlice(place, 'chmod 0644 $inbox/secret.txt $inbox/own.txt; chmod 0775 $inbox/closed');
    for (const [path, content] of [
      ['secret.txt', 'secret'],
      ['own.txt', 'own'],
      ['closed/a.txt', 'closed'],
    ] as const)
      note(place, path, content);
    await expectInvariants(place);
    expect(daemon.named('retrying')).toHaveLength(2);
  });

  test('the program itself needs no right that the group does not give it', async () => {
    await using place = await makeSharedWorkplace();
    await writeFile(join(place.inbox, 'by root.txt'), 'by root', { mode: 0o600 });
    const daemon = await place.start();
    expect(await daemon.waitFor('retrying', { path: 'by root.txt' })).toMatchObject({ level: 'warning' });
    await chmod(join(place.inbox, 'by root.txt'), 0o644);
    note(place, 'by root.txt', 'by root');
    await expectInvariants(place);
  });
});
