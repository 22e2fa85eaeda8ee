/** What a .deb or .rpm installs: all of it under one folder, the runtime included. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gzipSync } from 'node:zlib';
import { bundle, notBundled, repository } from './bundle.ts';
import { commandTable } from './command-table.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completion.ts';
import { instanceUnit } from './instance-unit.ts';
import { licencesOf } from './licences.ts';
import { commandManual, configManual } from './manual.ts';

const run = promisify(execFile);

/** How npm and GNU call the processor. */
export interface Architecture {
  readonly npm: 'x64' | 'arm64';
  readonly gnu: 'x86_64' | 'aarch64';
}

export interface TreeOptions {
  /** Must not exist yet. */
  readonly folder: string;
  readonly version: string;
  readonly architecture: Architecture;
  /** node_modules that has the runtime and the machine code of that architecture. */
  readonly modules: string;
  /** Where zsh looks for completions of packages: distributions differ. */
  readonly zshFunctions: string;
}

/** The program's place; everything else is where systemd, man and the shells look for it. */
const home = 'usr/lib/dropledger';

export async function stageTree(options: TreeOptions): Promise<void> {
  await stageProgram(options);
  await stageSystemd(options);
  await stageManual(options);
  await write(options.folder, 'etc/dropledger/config.json', await text('packaging/config.json'));
  for (const name of ['config.schema.json', 'config.example.json', 'systemd/shared-folders.conf']) {
    await write(options.folder, `usr/share/dropledger/${name.replace(/.*\//, '')}`, await text(name));
  }
}

async function stageProgram({ folder, version, architecture, modules }: TreeOptions): Promise<void> {
  const { packages } = await bundle(join(folder, home, 'dist'));
  const machineCode = `@node-rs/crc32-linux-${architecture.npm}-gnu`;
  const socket = socketPackage(architecture);
  const shipped = [...notBundled, machineCode, ...(existsSync(join(modules, socket)) ? [socket] : [])];
  for (const name of shipped) await copyPackage(join(modules, name), join(folder, home, 'node_modules', name));

  const runtime = join(modules, `node-linux-${architecture.npm}`);
  const node = join(folder, home, 'bin/node');
  await mkdir(dirname(node), { recursive: true });
  const objcopy = `${architecture.gnu}-linux-gnu-objcopy`;
  await run(objcopy, ['--strip-all', join(runtime, 'bin/node'), node]).catch((cause: unknown) => {
    throw new Error(`the runtime is stripped by ${objcopy}, of Debian's binutils of that processor`, { cause });
  });
  await chmod(node, 0o755);
  await write(folder, `${home}/bin/dropledger.js`, await text('bin/dropledger.js'), 0o755);
  await write(folder, `${home}/package.json`, `${JSON.stringify({ name: 'dropledger', version, type: 'module' })}\n`);
  await mkdir(join(folder, 'usr/bin'), { recursive: true });
  await symlink('../lib/dropledger/bin/dropledger.js', join(folder, 'usr/bin/dropledger'));

  const licences = await licencesOf([...packages, ...notBundled.map((name) => join(modules, name)), runtime]);
  const own = await text('LICENSE');
  await write(
    folder,
    'usr/share/doc/dropledger/copyright',
    `dropledger ${version}\n\n${own}\nIt contains:\n\n${licences}`,
  );
}

/** What is loaded, what names it, and its licence; no sources, no types. */
async function copyPackage(from: string, to: string): Promise<void> {
  const isNeeded = (path: string) =>
    !/\.(ts|map|md|toml)$|\/jest\.config\.js$|\/\.git|\/browser\.js$|\.esm\.js$/.test(path);
  await cp(from, to, { recursive: true, filter: (source) => isNeeded(source.slice(from.length)) });
}

/** Speaks to systemd from within the daemon. npm may not have it for every processor. */
const socketPackage = ({ npm }: Architecture): string => `node-unix-socket-linux-${npm}-gnu`;

async function stageSystemd({ folder, modules, architecture }: TreeOptions): Promise<void> {
  const packaged = await text('systemd/dropledger.service');
  // Without it a child of the daemon tells systemd, and must be allowed to.
  const hasSocket = existsSync(join(modules, socketPackage(architecture)));
  const unit = hasSocket ? packaged : packaged.replace('\nNotifyAccess=main\n', '\nNotifyAccess=all\n');
  await write(folder, 'usr/lib/systemd/system/dropledger.service', unit);
  await write(folder, 'usr/lib/systemd/system/dropledger@.service', instanceUnit(unit));
  await write(folder, 'usr/lib/sysusers.d/dropledger.conf', await text('systemd/dropledger.sysusers.conf'));
  await write(folder, 'usr/lib/tmpfiles.d/dropledger.conf', await text('systemd/dropledger.tmpfiles.conf'));
}

async function stageManual({ folder, version, zshFunctions }: TreeOptions): Promise<void> {
  const table = await commandTable();
  const share = 'usr/share';
  const example = await text('packaging/config.json');
  await write(folder, `${share}/man/man8/dropledger.8.gz`, gzipped(commandManual(table, version)));
  await write(folder, `${share}/man/man5/dropledger.json.5.gz`, gzipped(configManual(example, version)));
  await write(folder, `${share}/bash-completion/completions/dropledger`, bashCompletion(table));
  await write(folder, `${zshFunctions}/_dropledger`, zshCompletion(table));
  await write(folder, `${share}/fish/vendor_completions.d/dropledger.fish`, fishCompletion(table));
  await write(folder, `${share}/doc/dropledger/CHANGELOG.md.gz`, gzipped(await text('CHANGELOG.md')));
}

/** The same bytes at any time: Node writes no time into the head. */
const gzipped = (content: string): Buffer => gzipSync(content, { level: constants.Z_BEST_COMPRESSION });

const text = (name: string): Promise<string> => readFile(join(repository, name), 'utf8');

async function write(folder: string, name: string, content: string | Buffer, mode = 0o644): Promise<void> {
  const file = join(folder, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  await chmod(file, mode);
}

/** Modes as a package should have them, whatever the umask was and whatever npm unpacked. */
export async function settleModes(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isProgram = entry.parentPath.endsWith(`${home}/bin`) || /^(post|pre)(inst|rm)$/.test(entry.name);
    if (entry.isDirectory() || (entry.isFile() && isProgram)) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, 0o644);
  }
  await chmod(folder, 0o755);
}
