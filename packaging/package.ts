/**
 * `npm run package`: release/dropledger_VERSION_amd64.deb and release/dropledger-VERSION-1.x86_64.rpm. Needs Debian's dpkg,
 * rpm and binutils. The time (SOURCE_DATE_EPOCH) and the maintainer (DEBFULLNAME, DEBEMAIL) are taken from the environment,
 * as Debian's own tools do, else from the last commit.
 *   --to FOLDER         instead of release/
 *   --format deb        that one alone; or rpm
 *   --arch arm64        for that processor (npm brings its packages; binutils-aarch64-linux-gnu); else x64
 *   --version VERSION   of the package, instead of package.json's
 *   --quick             not compressed, for tests
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };
import { repository } from './bundle.ts';
import { buildDeb } from './deb.ts';
import { buildRpm } from './rpm.ts';
import type { Architecture } from './tree.ts';

const run = promisify(execFile);

const architectures: readonly Architecture[] = [
  { npm: 'x64', gnu: 'x86_64' },
  { npm: 'arm64', gnu: 'aarch64' },
];

/** node_modules with the machine code of that processor: ours, or what the lockfile says, fetched for it. */
async function modulesFor({ npm }: Architecture, workFolder: string): Promise<string> {
  if (npm === process.arch) return join(repository, 'node_modules');
  const folder = join(workFolder, 'modules');
  await mkdir(folder);
  for (const name of ['package.json', 'package-lock.json']) await copyFile(join(repository, name), join(folder, name));
  const foreign = ['--omit=dev', '--ignore-scripts', '--os=linux', '--libc=glibc', `--cpu=${npm}`];
  await run('npm', ['ci', '--silent', '--no-audit', '--no-fund', ...foreign], { cwd: folder });
  return join(folder, 'node_modules');
}

const { SOURCE_DATE_EPOCH, DEBFULLNAME = packageJson.name, DEBEMAIL } = process.env;

async function ofLastCommit(format: string): Promise<string> {
  const { stdout } = await run('git', ['-C', repository, 'log', '-1', `--format=${format}`]);
  return stdout.trim();
}

const { values: given } = parseArgs({
  options: {
    to: { type: 'string', default: join(repository, 'release') },
    format: { type: 'string', multiple: true, default: ['deb', 'rpm'] },
    arch: { type: 'string', default: 'x64' },
    version: { type: 'string', default: packageJson.version },
    quick: { type: 'boolean', default: false },
  },
});
const architecture = architectures.find(({ npm }) => npm === given.arch);
if (architecture === undefined) throw new Error(`--arch is one of ${architectures.map(({ npm }) => npm).join(', ')}`);
const formats = { deb: buildDeb, rpm: buildRpm };

const workFolder = await mkdtemp(join(tmpdir(), 'dropledger-package-'));
try {
  const modules = await modulesFor(architecture, workFolder);
  for (const format of given.format) {
    const file = await formats[format as keyof typeof formats]({
      ...{ workFolder, architecture, modules },
      to: given.to,
      version: given.version,
      maintainer: DEBEMAIL === undefined ? await ofLastCommit('%an <%ae>') : `${DEBFULLNAME} <${DEBEMAIL}>`,
      sourceDateEpoch: Number(SOURCE_DATE_EPOCH ?? (await ofLastCommit('%ct'))),
      compression: given.quick ? 'none' : 'xz',
    });
    process.stdout.write(`${file}: ${((await stat(file)).size / 2 ** 20).toFixed(1)} MiB\n`);
  }
} finally {
  await rm(workFolder, { recursive: true, force: true });
}
