/**
 * `check` as the service sees things: a root shell may read and write everywhere, while the service is another user, with
 * an environment and mounts of its own. So root's check runs inside a copy of what the unit says about these.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { parseEnv, promisify } from 'node:util';
import { instanceOf } from '../../config/places.ts';

/** Tells the check inside which unit it is in. */
export const insideVariable = 'DROPLEDGER_CHECK_INSIDE';

export interface ServiceUnit {
  readonly name: string;
  /** Whom the service runs as. */
  readonly user: string;
  /** The installed program, which the unit's sandbox can see. */
  readonly program: string;
  /** Settings of [Service], in order: user, environment, mounts, rights. */
  readonly settings: readonly Setting[];
}

type Setting = readonly [name: string, value: string];

/** What decides about what a process sees and may do. Not RuntimeDirectory: the one of the running daemon would be removed. */
const aboutRights =
  /^(User|Group|SupplementaryGroups|UMask|StateDirectory(Mode)?|Environment(File)?|(Pass|Unset)Environment|CapabilityBoundingSet|AmbientCapabilities|NoNewPrivileges|Protect(System|Home|Proc)|Private\w+|\w+Paths|TemporaryFileSystem|RestrictAddressFamilies|IPAddress\w+|NetworkNamespacePath|LoadCredential\w*)$/;

/** The unit that runs this configuration, as it is installed with its drop-ins; undefined where there is none, or no systemd. */
export async function unitOf(configFile: string): Promise<ServiceUnit | undefined> {
  const instance = instanceOf(configFile);
  const name = instance === undefined ? 'dropledger.service' : `dropledger@${instance}.service`;
  const text = await promisify(execFile)('systemctl', ['cat', '--', name]).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
  if (text === undefined) return undefined;
  const settings = serviceSettings(text.replaceAll('%i', () => instance ?? ''));
  const last = (key: string) => settings.findLast(([setting]) => setting === key)?.[1];
  const [program, ...args] = last('ExecStart')?.split(' ') ?? [];
  if (program === undefined || !args.includes(configFile)) return undefined;
  return { name, user: last('User') ?? 'root', program, settings: settings.filter(([key]) => aboutRights.test(key)) };
}

/** Exported for tests: the assignments of [Service] in the text of `systemctl cat`. */
export function serviceSettings(text: string): Setting[] {
  const settings: Setting[] = [];
  let section = '';
  for (const line of text.replace(/\\\n\s*/g, ' ').split('\n')) {
    const [, heading] = /^\[(.*)\]$/.exec(line) ?? [];
    const [, name, value] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (heading !== undefined) section = heading;
    else if (section === 'Service' && name !== undefined && value !== undefined) settings.push([name, value]);
  }
  return settings;
}

export type Inside =
  | { readonly kind: 'checked'; readonly exitCode: number }
  /** The sandbox itself cannot be set up: neither could the service's. */
  | { readonly kind: 'refused'; readonly exitCode: number }
  /** There is no systemd-run, or it did not get so far. */
  | { readonly kind: 'impossible' };

/** systemd's own exit codes, for what failed before the program began (systemd.exec(5)). */
const firstOfSystemd = 200;

/** Runs `check` with these arguments inside the unit; its output goes where ours goes. Root's privilege. */
export async function checkInside(unit: ServiceUnit, args: readonly string[]): Promise<Inside> {
  const properties = unit.settings.flatMap(([name, value]) => ['-p', `${name}=${value}`]);
  const options = ['--quiet', '--wait', '--collect', '--pipe', '--service-type=exec'];
  const child = spawn(
    'systemd-run',
    [...options, ...properties, `--setenv=${insideVariable}=${unit.name}`, '--', unit.program, 'check', ...args],
    { stdio: 'inherit' },
  );
  try {
    const [code] = await once(child, 'close');
    if (typeof code !== 'number') return { kind: 'impossible' };
    return code >= firstOfSystemd ? { kind: 'refused', exitCode: code } : { kind: 'checked', exitCode: code };
  } catch {
    return { kind: 'impossible' };
  }
}

/** The variables that the unit sets, for a check as the service's user from a shell. */
export async function environmentOf({ settings }: ServiceUnit): Promise<Record<string, string>> {
  const environment: Record<string, string> = {};
  for (const [name, value] of settings) {
    if (name === 'Environment') Object.assign(environment, parseEnv(value));
    if (name !== 'EnvironmentFile') continue;
    const text = await readFile(value.replace(/^-/, ''), 'utf8').catch(() => '');
    Object.assign(environment, parseEnv(text));
  }
  return environment;
}
