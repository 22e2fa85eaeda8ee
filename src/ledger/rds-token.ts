import { Signer } from '@aws-sdk/rds-signer';
import type { AwsCredentialIdentity } from '@smithy/types';
import { ConfigError, DropledgerError, messageOf, ServiceUnavailable } from '../service/errors.ts';

export interface RdsTokenOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly region: string | undefined;
  readonly credentials: (() => Promise<AwsCredentialIdentity>) | undefined;
}

/**
 * A function that signs an RDS login token, as good as a password for 15 minutes. It is signed on this machine, so
 * every login gets a fresh one.
 * @throws ConfigError where there is nothing to sign with; ServiceUnavailable where the credentials can't be had now.
 */
export function rdsToken({ host, port, user, region, credentials }: RdsTokenOptions): () => Promise<string> {
  if (region === undefined || credentials === undefined)
    throw new ConfigError('ledger.auth "iam" needs a region and AWS credentials', { hint: 'Set ledger.region.' });
  const signer = new Signer({ hostname: host, port, username: user, region, credentials });
  return async () => {
    try {
      return await signer.getAuthToken();
    } catch (cause) {
      if (cause instanceof DropledgerError) throw cause;
      throw new ServiceUnavailable('credentials', `no login token for the ledger: ${messageOf(cause)}`, { cause });
    }
  };
}
