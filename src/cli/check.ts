import { createCredentials } from '../aws/credentials.ts';
import { InvalidConfig, loadConfig } from '../config/load.ts';
import { journalPath } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { exitCode } from '../service/errors.ts';
import { createNetwork } from '../service/network.ts';
import { checkAws } from './checks/aws.ts';
import { checkFolders } from './checks/folders.ts';
import { checkLedger } from './checks/ledger.ts';
import { type CheckResult, failed, passed } from './checks/result.ts';
import { unitDropIn } from './checks/unit.ts';
import { type Command, configOption, type GivenOptions, type Surroundings, textOf } from './command.ts';
import { warningsTo } from './warnings.ts';

/** Where several checks fail, the exit code is that of the kind a person should mend first. */
const worstFirst = [exitCode.config, exitCode.credentials, exitCode.unavailable, exitCode.failed];

export const check: Command = {
  details: `Looks at configuration, folders, journal, clock, credentials, write access to the bucket (a multipart upload is started and
aborted: nothing stays) and the ledger. Exit code 0 only if all is fine; else 78, 77, 69 or 1, the first that applies.`,
  options: { ...configOption, json: { describe: 'print the results as JSON' } },

  async run(given: GivenOptions, around: Surroundings): Promise<number> {
    const file = textOf(given, 'config') ?? configOption.config.default;
    const config = await loadConfig(file).catch((error: unknown) => {
      if (error instanceof InvalidConfig) return error;
      throw error;
    });
    const isInvalid = config instanceof InvalidConfig;
    const results = isInvalid
      ? config.problems.map(({ path, message }) => ({
          ...failed('config', config),
          detail: `${path} ${message}`.trim(),
        }))
      : [passed('config', file), ...(await checkAll(config, around))];
    const dropIn = isInvalid ? undefined : unitDropIn(config, journalPath(config, around.env));
    const colours = around.stdout.isTTY === true && !around.env['NO_COLOR'];
    const text =
      given['json'] === true
        ? `${JSON.stringify({ checks: results, dropIn })}\n`
        : describe(results, colours) + advice(dropIn, around);
    around.stdout.write(text);
    return worstFirst.find((code) => results.some((result) => result.exitCode === code)) ?? exitCode.fine;
  },
};

async function checkAll(config: Config, around: Surroundings): Promise<CheckResult[]> {
  const { env } = around;
  const log = warningsTo(around.stderr);
  const results = await checkFolders(config, journalPath(config, env));
  await using network = await createNetwork({ env });
  const { bucket: _bucket, region, endpoint } = config.s3;
  const credentials = createCredentials({ ...config.aws, region, s3Endpoint: endpoint, env, network });
  results.push(...(await checkAws(config, credentials, network, log)));
  results.push(...(await checkLedger(config, credentials, log)));
  return results;
}

function describe(results: readonly CheckResult[], colours: boolean): string {
  const paint = (code: string, text: string) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
  const width = Math.max(...results.map(({ name }) => name.length));
  const lines = results.map(({ name, ok, detail, hint }) => {
    const mark = ok ? paint('32', '✓') : paint('31', '✗');
    const line = `${mark} ${name.padEnd(width)}  ${detail}`;
    return hint === undefined ? line : `${line}\n  ${' '.repeat(width)}  ${paint('36', `→ ${hint}`)}`;
  });
  return `${lines.join('\n')}\n`;
}

function advice(dropIn: string | undefined, { env }: Surroundings): string {
  if (env['INVOCATION_ID'] !== undefined) return '';
  const seen =
    "\nThis looked as this shell's user, outside the unit: the unit's own mounts and user are not seen from here.\n";
  if (dropIn === undefined) return `${seen}The packaged unit needs no drop-in for this configuration.\n`;
  return `${seen}For this configuration the packaged unit needs (systemctl edit dropledger):\n\n${dropIn}`;
}
