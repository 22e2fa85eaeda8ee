import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import type { AwsCredentialIdentityProvider } from '@smithy/types';
import { DropledgerError, messageOf, ServiceUnavailable } from '../service/errors.ts';
import type { Network } from '../service/network.ts';
import { isRefusal, refused } from './provider-errors.ts';
import type { Environment } from './shared-files.ts';
import type { CredentialSource } from './source.ts';

export interface CallerIdentity {
  readonly arn: string;
  readonly account: string;
}

export interface IdentityOptions {
  readonly provider: AwsCredentialIdentityProvider;
  readonly source: () => Promise<CredentialSource>;
  readonly region?: string | undefined;
  readonly s3Endpoint?: string | undefined;
  readonly env: Environment;
  readonly network: Network;
}

/**
 * Asks STS who the credentials are: that needs no permission and can't be denied. Null where there is no STS to ask. Once
 * answered it is remembered for as long as the access key is the same.
 */
export function createIdentity({ provider, source, region, s3Endpoint, env, network }: IdentityOptions) {
  const endpoint = env['AWS_ENDPOINT_URL_STS'] || undefined;
  let known: { readonly accessKeyId: string; readonly identity: CallerIdentity } | undefined;

  return async (): Promise<CallerIdentity | null> => {
    if (endpoint === undefined && !isAwsEndpoint(s3Endpoint)) return null;
    const credentials = await provider();
    if (known?.accessKeyId === credentials.accessKeyId) return known.identity;
    const client = new STSClient({
      region: region ?? 'us-east-1',
      credentials,
      requestHandler: network.sdkRequestHandler,
      ...(endpoint === undefined ? {} : { endpoint }),
    });
    try {
      const { Arn = '', Account = '' } = await client.send(new GetCallerIdentityCommand({}));
      known = { accessKeyId: credentials.accessKeyId, identity: { arn: Arn, account: Account } };
      return known.identity;
    } catch (error) {
      if (error instanceof DropledgerError) throw error;
      if (isRefusal(error)) throw refused(await source(), messageOf(error), error);
      throw new ServiceUnavailable('sts', `AWS STS can't be asked: ${messageOf(error)}`, {
        hint: 'Check the network, the proxy and the firewall.',
        cause: error,
      });
    } finally {
      client.destroy();
    }
  };
}

/** `amazonaws.com`, `amazonaws.com.cn`, `amazonaws.eu` and `api.aws`: AWS's own, dual-stack and sovereign partitions. */
const isAwsEndpoint = (endpoint: string | undefined) =>
  endpoint === undefined || /(^|\.)(amazonaws\.(com|com\.cn|eu)|api\.aws)$/.test(new URL(endpoint).hostname);
