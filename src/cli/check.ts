import { resolve } from 'node:path';
import { createCredentials } from '../aws/credentials.ts';
import { type ConfigProblem, InvalidConfig, loadConfig } from '../config/load.ts';
import { journalPath } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { currentUser } from '../service/current-user.ts';
import { ConfigError, exitCode } from '../service/errors.ts';
import { createNetwork } from '../service/network.ts';
import { checkAws } from './checks/aws.ts';
import { checkFolders } from './checks/folders.ts';
import { checkLedger } from './checks/ledger.ts';
import { type CheckResult, failed, passed } from './checks/result.ts';
import { checkInside, environmentOf, insideVariable, type ServiceUnit, unitOf } from './checks/service-unit.ts';
import { unitDropIn } from './checks/unit.ts';
import { type Command, configOption, type GivenOptions, type Surroundings, textOf } from './command.ts';
import { looksOf, type Paint } from './terminal/output.ts';
import { warningsTo } from './warnings.ts';

/** Where several checks fail, the exit code is that of the kind a person should mend first. */
const worstFirst = [exitCode.config, exitCode.credentials, exitCode.unavailable, exitCode.failed];

export const check: Command = {
  details: `Looks at configuration, folders, journal, clock, credentials, write access to the bucket (a multipart upload is started and
aborted: nothing stays) and the ledger. Exit code 0 only if all is fine; else 78, 77, 69 or 1, the first that applies.

As root it looks as the service does: as the user of the unit, with the unit's environment, rights and mounts.`,
  options: { ...configOption, json: { describe: 'print the results as JSON' } },

  async run(given: GivenOptions, around: Surroundings): Promise<number> {
    const file = resolve(textOf(given, 'config') ?? configOption.config.default);
    const place = await placeOf(file, around);
    let refusal: CheckResult | undefined;
    if (place.kind === 'root') {
      const args = ['--config', file, ...(given['json'] === true ? ['--json'] : [])];
      const inside = await checkInside(place.unit, args);
      if (inside.kind === 'checked') return inside.exitCode;
      if (inside.kind === 'refused') refusal = refusedBy(place.unit, inside.exitCode);
    }

    const config = await loadConfig(file).catch((error: unknown) => {
      if (error instanceof InvalidConfig) return error;
      throw error;
    });
    const results = [
      ...(refusal === undefined ? [] : [refusal]),
      ...(config instanceof InvalidConfig
        ? config.problems.map((problem) => wrong(file, config, problem))
        : [passed('config', file), ...(await checkAll(config, around))]),
    ];
    const isRead = !(config instanceof InvalidConfig);
    const dropIn = isRead ? unitDropIn(config, journalPath(config, around.env)) : undefined;
    const allFine = results.every(({ ok }) => ok);
    const { paint } = looksOf(around.stdout, around.env);
    const user = currentUser();
    const text =
      given['json'] === true
        ? `${JSON.stringify({ checks: results, dropIn, user, unit: around.env[insideVariable] })}\n`
        : `${describe(results, paint)}\n${advice({ place, user, dropIn, allFine, isRead })}`;
    around.stdout.write(text);
    return worstFirst.find((code) => results.some((result) => result.exitCode === code)) ?? exitCode.fine;
  },
};

/** From where this check looks. */
type Place =
  | { readonly kind: 'inside'; readonly unit: string }
  /** A root shell, on a machine that has the unit: it can go inside. */
  | { readonly kind: 'root'; readonly unit: ServiceUnit }
  | { readonly kind: 'shell'; readonly unit: ServiceUnit | undefined };

async function placeOf(file: string, { env }: Surroundings): Promise<Place> {
  const inside = env[insideVariable];
  if (inside !== undefined) return { kind: 'inside', unit: inside };
  const unit = await unitOf(file);
  if (unit === undefined) return { kind: 'shell', unit };
  if (process.getuid?.() === 0) return { kind: 'root', unit };
  // AWS_PROFILE= and the like: what the service has, its user's shell may lack. The SDK reads the real environment.
  if (currentUser() === unit.user) Object.assign(env, await environmentOf(unit));
  return { kind: 'shell', unit };
}

const refusedBy = (unit: ServiceUnit, code: number): CheckResult =>
  failed(
    'unit',
    new ConfigError(
      `systemd cannot set up what ${unit.name} asks for (exit code ${code}): the service would not start`,
      {
        hint: `journalctl -n 20 _PID=1 tells why; systemctl cat ${unit.name} shows it (a path in ReadWritePaths= that is missing?)`,
      },
    ),
  );

const wrong = (file: string, error: InvalidConfig, { path, message }: ConfigProblem): CheckResult => ({
  ...failed('config', error),
  detail: `${path === '' ? file : path} ${message}`,
  hint: path === '' ? error.hint : `sudoedit ${file}    (man dropledger.json tells of each key)`,
});

async function checkAll(config: Config, around: Surroundings): Promise<CheckResult[]> {
  const { env } = around;
  const folders = await checkFolders(config, journalPath(config, env));
  const services = await checkServices(config, around).catch(failedAs('network'));
  return [...folders, ...services];
}

async function checkServices(config: Config, { env, stderr }: Surroundings): Promise<CheckResult[]> {
  const log = warningsTo(stderr);
  await using network = await createNetwork({ env });
  const { region, endpoint } = config.s3;
  const credentials = createCredentials({ ...config.aws, region, s3Endpoint: endpoint, env, network });
  return [
    ...(await checkAws(config, credentials, network, log)),
    ...(await checkLedger(config, credentials, log).catch(failedAs('ledger login'))),
  ];
}

/** What cannot even be asked is a line like the others. */
const failedAs = (name: string) => (error: unknown) => [failed(name, error)];

function describe(results: readonly CheckResult[], paint: Paint): string {
  const width = Math.max(...results.map(({ name }) => name.length));
  const lines = results.map(({ name, ok, detail, hint }) => {
    const mark = ok ? paint('green', '✓') : paint('red', '✗');
    const line = `${mark} ${name.padEnd(width)}  ${detail}`;
    return hint === undefined ? line : `${line}\n  ${' '.repeat(width)}  ${paint('cyan', `→ ${hint}`)}`;
  });
  return `${lines.join('\n')}\n`;
}

interface Looked {
  readonly place: Place;
  readonly user: string;
  readonly dropIn: string | undefined;
  readonly allFine: boolean;
  /** Whether the configuration could be read: only then it is known what the unit needs. */
  readonly isRead: boolean;
}

/** Who looked, what could not be seen from there, and the drop-in that the unit needs, perhaps. */
function advice({ place, user, dropIn, allFine, isRead }: Looked): string {
  if (place.kind === 'inside') {
    const seen = `Looked as ${user}, with the environment, the rights and the mounts of ${place.unit}.\n`;
    return allFine || dropIn === undefined ? seen : `${seen}${needed(dropIn, place.unit)}`;
  }
  const unit = place.unit?.name ?? 'dropledger';
  const asService = `The service runs as ${place.unit?.user ?? 'dropledger'}: sudo dropledger check looks as that user, inside the unit.\n`;
  const seen = `Looked as ${user}, outside the unit, whose own mounts are not seen from here.\n`;
  const how = place.kind === 'shell' && place.unit !== undefined ? asService : '';
  const need =
    dropIn === undefined ? 'The packaged unit needs no drop-in for this configuration.\n' : needed(dropIn, unit);
  return `${seen}${how}${isRead ? need : ''}`;
}

const needed = (dropIn: string, unit: string): string =>
  `For this configuration the packaged unit needs (systemctl edit ${unit.replace(/\.service$/, '')}):\n\n${dropIn}`;
