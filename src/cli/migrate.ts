import { createCredentials } from '../aws/credentials.ts';
import { loadConfig } from '../config/load.ts';
import { ledgerTarget } from '../config/places.ts';
import { migrate as migrateLedger } from '../ledger/migrate.ts';
import { exitCode } from '../service/errors.ts';
import { createNetwork } from '../service/network.ts';
import {
  type Command,
  configOption,
  type GivenOptions,
  passwordFileOption,
  type Surroundings,
  textOf,
} from './command.ts';
import { warningsTo } from './warnings.ts';

export const migrate: Command = {
  details: `Makes the schema "dropledger" and the roles dropledger_writer and dropledger_reader. It logs in as the ledger.user of the
given config, or as --user: somebody who may create schemas and roles in that database. To run it again is harmless.`,
  options: {
    ...configOption,
    user: { value: 'NAME', describe: 'log in as this user instead of ledger.user' },
    ...passwordFileOption,
    'dry-run': { describe: 'change nothing, print the SQL' },
    json: { describe: 'print the result as JSON' },
  },

  async run(given: GivenOptions, around: Surroundings): Promise<number> {
    const config = await loadConfig(textOf(given, 'config') ?? configOption.config.default);
    await using network = await createNetwork({ env: around.env });
    const { provider } = createCredentials({ ...config.aws, region: config.s3.region, env: around.env, network });
    const target = ledgerTarget(config);
    const passwordFile = textOf(given, 'password-file');
    const result = await migrateLedger({
      ...target,
      user: textOf(given, 'user') ?? target.user,
      ...(passwordFile !== undefined && { auth: 'password', passwordFile }),
      credentials: provider,
      log: warningsTo(around.stderr),
      dryRun: given['dry-run'] === true,
    });
    around.stdout.write(
      given['json'] === true ? `${JSON.stringify(result)}\n` : describe(result, given['dry-run'] === true),
    );
    return exitCode.fine;
  },
};

function describe(result: Awaited<ReturnType<typeof migrateLedger>>, isDryRun: boolean): string {
  if (isDryRun) return result.sql;
  const { from, to, applied } = result;
  if (applied.length === 0) return `The ledger's schema is up to date: version ${to}.\n`;
  return `The ledger's schema went from version ${from} to ${to}: ${applied.join(', ')}.\n`;
}
