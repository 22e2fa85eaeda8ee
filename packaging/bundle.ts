/**
 * What `npm run build` makes: the program in plain JavaScript, in a few files. One file a package of a hundred modules
 * halves the start of the program against a clone, and takes a tenth of the memory less.
 */
import { copyFile, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type OutputChunk, rolldown } from 'rolldown';

export const repository = fileURLToPath(new URL('../', import.meta.url));

/** Machine code, and files that are read as files: these stay packages of npm beside the bundle. */
export const notBundled = ['@node-rs/crc32', 'node-unix-socket', 'uplot'] as const;

/** Which npm packages were taken in, as folders under node_modules: their licences must go along. */
export interface Bundle {
  readonly packages: readonly string[];
}

export async function bundle(folder: string): Promise<Bundle> {
  await rm(folder, { recursive: true, force: true });
  const build = await rolldown({
    cwd: repository,
    input: {
      main: 'src/main.ts',
      'sha256-thread': 'src/s3/sha256-thread.ts',
      'dispose-thread': 'src/drop-folder/dispose-thread.ts',
    },
    platform: 'node',
    external: [...notBundled, ...notBundled.map((name) => new RegExp(`^${name}/`))],
    onLog(_level, log) {
      throw new Error(log.message); // a warning of a bundler is a program that fails later
    },
  });
  const { output } = await build.generate({
    format: 'esm',
    // Node keeps the text of a program in memory, spaces included: without them it is 4 MB less. Names stay, for stack traces.
    minify: { compress: true, mangle: false, codegen: true },
    // An upgrade replaces files under a running daemon. What it loads after that must not be found rather than be the
    // next release's: so the names of chunks tell their content.
    chunkFileNames: '[name]-[hash].js',
    comments: { legal: false, annotation: false, jsdoc: false },
  });
  await build.close();
  const chunks = output.filter((file): file is OutputChunk => file.type === 'chunk');
  await mkdir(folder, { recursive: true });
  for (const { fileName, code } of chunks) await writeFile(join(folder, fileName), inAscii(code));
  await copyDataFiles(folder);
  return { packages: packagesOf(chunks.flatMap((chunk) => chunk.moduleIds)) };
}

/** One character beyond Latin-1 doubles what the text of its file takes in memory. */
const inAscii = (code: string): string =>
  code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * Modules look for their data beside themselves, and all of them are in one folder now.
 * @throws Error for a data file that nobody said where to put.
 */
async function copyDataFiles(folder: string): Promise<void> {
  const source = join(repository, 'src');
  for (const name of await readdir(source, { recursive: true })) {
    const kind = extname(name);
    if (kind === '' || kind === '.ts') continue;
    if (kind === '.sql') {
      await mkdir(join(folder, 'migrations'), { recursive: true });
      await copyFile(join(source, name), join(folder, 'migrations', basename(name)));
    } else if (dirname(name) === 'cli/ledger/report') {
      await cp(join(source, name), join(folder, basename(name)));
    } else {
      throw new Error(`packaging/bundle.ts does not know where src/${name} is looked for at run time`);
    }
  }
}

function packagesOf(modules: readonly string[]): string[] {
  const folders = modules.flatMap((module) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(module) ?? []);
  return [...new Set(folders)].sort();
}
