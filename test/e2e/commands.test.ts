import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesIn } from '../support/daemon-files.ts';
import { runProgram } from '../support/daemon-program.ts';
import { ownerOf } from '../support/daemon-store.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** The commands beside `run`: what they print, and the exit codes that scripts go by. */
const postgres = usePostgres();

describe('the command line', () => {
  test.concurrent('--help names every command, and each helps with itself', async () => {
    const { code, stdout } = await runProgram(['--help']);
    const list = stdout.slice(stdout.indexOf('Commands:\n'), stdout.indexOf('\n\ndropledger COMMAND'));
    const commands = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name);
    expect({ code, commands }).toEqual({
      code: 0,
      commands: expect.arrayContaining(['run', 'check', 'migrate', 'demo']),
    });
    for (const command of commands) {
      const help = await runProgram([command, '--help']);
      expect({ code: help.code, stderr: help.stderr }, command).toEqual({ code: 0, stderr: '' });
      expect(help.stdout).toMatch(new RegExp(`^Usage: dropledger ${command} `));
    }
  });

  test.concurrent('what it does not know is exit 64, with one line that names it and one that helps', async () => {
    for (const args of [['fly'], ['run', '--fast'], ['check', 'stray'], ['run', '--config'], []]) {
      const { code, stdout, stderr } = await runProgram(args);
      expect({ code, stdout }, args.join(' ')).toEqual({ code: 64, stdout: '' });
      expect(stderr).toMatch(/^dropledger: .+\n {2}→ dropledger .*--help\n$/);
    }
  });

  test.concurrent('--version', async () => {
    expect(await runProgram(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^dropledger \d+\./),
    });
  });
});

describe('check', () => {
  const check = (place: Workplace, ...args: string[]) =>
    runProgram(['check', '--config', place.configFile, ...args], place.env);
  const failedLines = (stdout: string) => stdout.split('\n').filter((line) => line.startsWith('✗'));

  test.concurrent('all is fine: exit 0, a line each, and nothing is left anywhere', async () => {
    await using place = await makeWorkplace({ postgres });
    const { code, stdout, stderr } = await check(place);
    expect({ code, stderr, failed: failedLines(stdout) }).toEqual({ code: 0, stderr: '', failed: [] });
    for (const name of [
      'config',
      'folders',
      'archive',
      'quarantine',
      'credentials',
      'write access',
      'overwriting',
      'checksums',
      'ledger login',
      'ledger schema',
      'ledger grants',
    ]) {
      expect(stdout).toMatch(new RegExp(`^✓ ${name} `, 'm'));
    }
    expect(stdout).toContain('arn:aws:iam::123456789012:user/write-only');
    for (const folder of [place.inbox, place.archive, place.quarantine]) expect(await filesIn(folder)).toEqual([]);
    using owner = ownerOf(place.store);
    expect([...(await owner.sizes()).keys()]).toEqual([]);
    expect(place.store.count('CreateMultipartUpload')).toBe(place.store.count('AbortMultipartUpload'));
    expect(stdout + stderr).not.toContain(place.store.writer.secretAccessKey);

    const json = await check(place, '--json');
    const { checks } = JSON.parse(json.stdout);
    expect(checks.map(({ ok }: { ok: boolean }) => ok)).not.toContain(false);
  });

  test('Postgres cannot be reached: exit 69, and the rest is looked at all the same', async () => {
    await using place = await makeWorkplace({ postgres });
    await postgres.stop();
    const { code, stdout } = await check(place);
    expect({ code, failed: failedLines(stdout).map((line) => line.slice(2, 14)) }).toEqual({
      code: 69,
      failed: ['ledger login'],
    });
    expect(stdout).toMatch(/^✓ write access/m);
  });

  test.concurrent('S3 cannot be reached: exit 69', async () => {
    await using place = await makeWorkplace({ postgres });
    await place.store.stop();
    const { code, stdout } = await check(place);
    expect(code).toBe(69);
    expect(stdout).toMatch(/^✗ write access .*\n +→ .+/m);
    expect(stdout).toMatch(/^✓ ledger login/m);
  });

  test.concurrent('refused credentials: exit 77, with the way to mend them', async () => {
    await using place = await makeWorkplace({ postgres });
    await place.logIn({ ...place.store.writer, secretAccessKey: 'mistyped-secret' });
    const { code, stdout, stderr } = await check(place);
    expect(code).toBe(77);
    expect(stdout).toMatch(/^✗ credentials .*\n +→ .*aws configure/m);
    expect(stdout + stderr).not.toContain('mistyped-secret');
  });

  test.concurrent('a wrong configuration: exit 78, with every problem', async () => {
    await using place = await makeWorkplace({ postgres, config: { s3: { bucket: '' }, dropFolder: { settleMs: -1 } } });
    const { code, stdout } = await check(place);
    expect(code).toBe(78);
    expect(failedLines(stdout).join('\n')).toMatch(/settleMs[\s\S]*s3\.bucket|s3\.bucket[\s\S]*settleMs/);
  });

  test.concurrent('no configuration: exit 78, with the file that was looked for, and no word on what the unit needs', async () => {
    const { code, stdout } = await runProgram(['check', '--config', '/nowhere/config.json']);
    expect({ code, failed: failedLines(stdout) }).toEqual({
      code: 78,
      failed: ['✗ config  /nowhere/config.json cannot be read: there is no such file'],
    });
    expect(stdout).not.toContain('drop-in');
  });

  test.concurrent('a CA file that is not there: exit 78, and the rest is looked at all the same', async () => {
    await using place = await makeWorkplace({ postgres });
    await place.configure({ ledger: { host: 'localhost', tls: 'verify-full', caFile: '/nowhere/ca.pem' } });
    const { code, stdout, stderr } = await check(place);
    expect({ code, stderr, failed: failedLines(stdout).length }).toEqual({ code: 78, stderr: '', failed: 1 });
    expect(stdout).toMatch(/^✗ ledger login .*\/nowhere\/ca\.pem/m);
    expect(stdout).toMatch(/^✓ write access/m);
  });

  test.concurrent('a folder that is not there: exit 78', async () => {
    await using place = await makeWorkplace({ postgres });
    await place.configure({ dropFolder: { path: join(place.folder, 'no-such-folder') } });
    const { code, stdout } = await check(place);
    expect(code).toBe(78);
    expect(stdout).toMatch(/^✗ folders .*no-such-folder/m);
  });
});

describe('migrate', () => {
  test.concurrent('--dry-run prints and changes nothing; then it migrates; then there is nothing to do', async () => {
    await using place = await makeWorkplace({ postgres });
    await using database = await postgres.createDatabase({ migrated: false });
    const { user, passwordFile } = database.admin;
    await place.configure({ ledger: { database: database.name, ...(passwordFile !== undefined && { passwordFile }) } });
    const migrate = (...args: string[]) =>
      runProgram(['migrate', '--config', place.configFile, '--user', user, ...args], place.env);
    const schemas = async () => {
      const { rows } = await database.query("SELECT nspname FROM pg_namespace WHERE nspname = 'dropledger'");
      return rows.length;
    };

    const dryRun = await migrate('--dry-run');
    expect(dryRun).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('CREATE TABLE') });
    expect(await schemas()).toBe(0);
    expect(await migrate()).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/from version 0 to \d+/),
    });
    expect(await schemas()).toBe(1);
    expect(await migrate()).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('up to date') });
    expect(JSON.parse((await migrate('--json')).stdout)).toMatchObject({ applied: [] });
  });

  test.concurrent('--password-file: an admin with a password, where the daemon logs in by token', async () => {
    await using place = await makeWorkplace({ postgres });
    await using database = await postgres.createDatabase({ migrated: false });
    const { user, passwordFile = '' } = database.admin;
    await place.configure({ ledger: { database: database.name, auth: 'iam' } });
    const args = ['--config', place.configFile, '--user', user, '--password-file', passwordFile];
    expect(await runProgram(['migrate', ...args], place.env)).toMatchObject({ code: 0, stderr: '' });
    const list = await runProgram(['ledger', 'list', ...args], place.env);
    expect(list).toMatchObject({ code: 0, stderr: '' });
  });

  test.concurrent('a login that Postgres refuses: the exit code of it, and no password in what it says', async () => {
    await using place = await makeWorkplace({ postgres });
    const passwordFile = join(place.folder, 'wrong-password');
    await writeFile(passwordFile, 'not-the-password', { mode: 0o600 });
    await place.configure({ ledger: { passwordFile } });
    const { code, stdout, stderr } = await runProgram(['migrate', '--config', place.configFile], place.env);
    expect(code).toBe(77);
    expect(stderr).toMatch(/^dropledger: .+\n {2}→ .+\n$/);
    expect(stdout + stderr).not.toContain('not-the-password');
  });
});
