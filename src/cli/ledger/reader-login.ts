import type { AwsCredentialIdentityProvider } from '@smithy/types';
import { createCredentials } from '../../aws/credentials.ts';
import { loadConfig } from '../../config/load.ts';
import { ledgerTarget } from '../../config/places.ts';
import type { Config } from '../../config/schema.ts';
import { createLedgerPool } from '../../ledger/pool.ts';
import { createLedgerReader, type LedgerReader } from '../../ledger/reader.ts';
import { createNetwork, type Network } from '../../service/network.ts';
import {
  type CommandOption,
  configOption,
  type GivenOptions,
  passwordFileOption,
  type Surroundings,
  textOf,
} from '../command.ts';
import { warningsTo } from '../warnings.ts';

/** Of every command that reads the ledger. */
export const readerOptions = {
  ...configOption,
  user: { value: 'NAME', describe: 'log in as this user instead of ledger.readerUser' },
  ...passwordFileOption,
} as const satisfies Record<string, CommandOption>;

export interface ReaderLogin extends AsyncDisposable {
  readonly config: Config;
  readonly reader: LedgerReader;
  readonly network: Network;
  readonly credentials: AwsCredentialIdentityProvider;
}

/** Logs in when it is first asked. @throws ConfigError */
export async function openReader(given: GivenOptions, around: Surroundings): Promise<ReaderLogin> {
  const config = await loadConfig(textOf(given, 'config') ?? configOption.config.default);
  await using opened = new AsyncDisposableStack();
  const network = opened.use(await createNetwork({ env: around.env }));
  const { region, endpoint: s3Endpoint } = config.s3;
  const { provider } = createCredentials({ ...config.aws, region, s3Endpoint, env: around.env, network });
  const target = ledgerTarget(config);
  const passwordFile = textOf(given, 'password-file');
  const pool = opened.use(
    createLedgerPool({
      ...target,
      user: textOf(given, 'user') ?? config.ledger.readerUser ?? target.user,
      auth: passwordFile === undefined ? target.auth : 'password',
      passwordFile: passwordFile ?? config.ledger.readerPasswordFile ?? target.passwordFile,
      credentials: provider,
      log: warningsTo(around.stderr),
      statementTimeoutMs: 0, // Somebody waits, and ends it when it takes too long.
    }),
  );
  const rooms = opened.move();
  return {
    config,
    reader: createLedgerReader(pool),
    network,
    credentials: provider,
    [Symbol.asyncDispose]: () => rooms.disposeAsync(),
  };
}
