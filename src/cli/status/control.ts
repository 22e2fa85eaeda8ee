import { realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { loadConfig } from '../../config/load.ts';
import { controlSocket } from '../../config/places.ts';
import type { Config } from '../../config/schema.ts';
import { UsageError } from '../../service/errors.ts';
import { configOption, type GivenOptions, type Surroundings, textOf } from '../command.ts';

/** Where the daemon of the given configuration listens. */
export async function daemonOf(
  given: GivenOptions,
  { env }: Surroundings,
): Promise<{ readonly config: Config; readonly socket: string }> {
  const config = await loadConfig(textOf(given, 'config') ?? configOption.config.default);
  return { config, socket: controlSocket(config, env) };
}

/**
 * The path below the drop folder that somebody means: a file in the drop folder, the archive or the quarantine, as the
 * shell names it, or else a path relative to the drop folder.
 * @throws UsageError for an absolute path elsewhere.
 */
export async function pathBelowDropFolder(file: string, { dropFolder: drop }: Config): Promise<string> {
  const here = resolve(file);
  const reallyHere = join(await real(dirname(here)), basename(here));
  const places = [drop.path, drop.quarantinePath, drop.archivePath].filter((place) => place !== undefined);
  for (const place of places) {
    const inside = below(place, here) ?? below(await real(place), reallyHere);
    if (inside !== undefined) return inside;
  }
  if (file.startsWith('/')) {
    throw new UsageError(`${file} is not in the drop folder ${drop.path}`, {
      hint: 'dropledger status tells which it is',
    });
  }
  return file.replace(/^(\.\/)+/, '');
}

const real = (path: string): Promise<string> => realpath(path).catch(() => path);

function below(folder: string, path: string): string | undefined {
  const way = relative(folder, path);
  return way === '' || way.split(sep)[0] === '..' ? undefined : way;
}
