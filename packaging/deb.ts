/** The package for Debian and Ubuntu. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { repository } from './bundle.ts';
import { settleModes, stageTree, type TreeOptions } from './tree.ts';

const run = promisify(execFile);

/** Of a .deb or an .rpm. */
export interface PackageOptions extends Omit<TreeOptions, 'folder' | 'zshFunctions'> {
  /** A folder of our own, emptied. */
  readonly workFolder: string;
  readonly to: string;
  /** Who answers for the package: `NAME <ADDRESS>`. */
  readonly maintainer: string;
  /** Seconds since 1970: no file is younger, and two builds of the same tree are the same bytes. */
  readonly sourceDateEpoch: number;
  /** `xz` is what is published; `none` is quick. */
  readonly compression: 'xz' | 'none';
}

/** Debian's names of processors. */
export const debianArchitecture = { x64: 'amd64', arm64: 'arm64' } as const;

/** Writes the .deb and gives its path. Needs dpkg-deb. */
export async function buildDeb(options: PackageOptions): Promise<string> {
  const { workFolder, to, version, architecture, sourceDateEpoch, compression } = options;
  const root = join(workFolder, 'deb');
  await rm(root, { recursive: true, force: true });
  await stageTree({ ...options, folder: root, zshFunctions: 'usr/share/zsh/vendor-completions' });
  await writeControl(root, options);
  await settleModes(root);

  await mkdir(to, { recursive: true });
  const file = join(to, `dropledger_${version}_${debianArchitecture[architecture.npm]}.deb`);
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(sourceDateEpoch) };
  await run('dpkg-deb', ['--root-owner-group', `-Z${compression}`, '--build', root, file], { env });
  await rm(root, { recursive: true });
  return file;
}

async function writeControl(root: string, { version, architecture, maintainer }: PackageOptions): Promise<void> {
  const folder = join(root, 'DEBIAN');
  const files = await filesOf(root);
  await mkdir(folder);
  for (const name of ['postinst', 'prerm', 'postrm']) {
    await copyFile(join(repository, 'packaging/debian', name), join(folder, name));
  }
  const { description, homepage } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
  const fields = {
    Package: 'dropledger',
    Version: version,
    Architecture: debianArchitecture[architecture.npm],
    Maintainer: maintainer,
    'Installed-Size': String(await sizeInKiB(root, files)),
    // What the runtime is linked with, and what makes the user and the folders: on every Debian 12 and Ubuntu 22.04.
    Depends: 'libc6 (>= 2.28), libstdc++6 (>= 9), systemd (>= 249)',
    Section: 'net',
    Priority: 'optional',
    ...(homepage === undefined ? {} : { Homepage: homepage }),
    Description: `uploads dropped files to S3 and records them in a ledger\n ${description}.\n It brings a runtime, a systemd unit, and the commands to look after it.`,
  };
  const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`);
  await writeFile(join(folder, 'control'), control.join(''));
  await writeFile(join(folder, 'conffiles'), '/etc/dropledger/config.json\n');
  await writeFile(join(folder, 'md5sums'), await md5sums(root, files));
}

/** Regular files, relative, in a fixed order. */
async function filesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

async function sizeInKiB(root: string, files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => Math.ceil((await stat(join(root, file))).size / 1024)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** For `dpkg --verify`; conffiles are not in it. */
async function md5sums(root: string, files: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const file of files.filter((name) => !name.startsWith('etc/'))) {
    const content = await readFile(join(root, file));
    lines.push(`${createHash('md5').update(content).digest('hex')}  ${file}\n`);
  }
  return lines.join('');
}
