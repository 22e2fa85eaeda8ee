/**
 * `npm run package`: release/dropledger_VERSION_amd64.deb. Needs Debian's dpkg and binutils. SOURCE_DATE_EPOCH is taken
 * from the environment, else from the last commit.
 *   --to FOLDER         instead of release/
 *   --version VERSION   of the package, instead of package.json's
 *   --quick             not compressed, for tests
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };
import { repository } from './bundle.ts';
import { buildDeb } from './deb.ts';

const run = promisify(execFile);

async function sourceDateEpoch(): Promise<number> {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined) return Number(given);
  const { stdout } = await run('git', ['-C', repository, 'log', '-1', '--format=%ct']);
  return Number(stdout);
}

const { values: given } = parseArgs({
  options: {
    to: { type: 'string', default: join(repository, 'release') },
    version: { type: 'string', default: packageJson.version },
    quick: { type: 'boolean', default: false },
  },
});
const workFolder = await mkdtemp(join(tmpdir(), 'dropledger-package-'));
try {
  const file = await buildDeb({
    workFolder,
    to: given.to,
    version: given.version,
    architecture: { npm: 'x64', gnu: 'x86_64' },
    modules: join(repository, 'node_modules'),
    sourceDateEpoch: await sourceDateEpoch(),
    compression: given.quick ? 'none' : 'xz',
  });
  process.stdout.write(`${file}: ${((await stat(file)).size / 2 ** 20).toFixed(1)} MiB\n`);
} finally {
  await rm(workFolder, { recursive: true, force: true });
}
