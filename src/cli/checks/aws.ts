import { hostname } from 'node:os';
import type { createCredentials } from '../../aws/credentials.ts';
import type { Config } from '../../config/schema.ts';
import type { EventLog } from '../../model.ts';
import { resolveBucketEndpoint } from '../../s3/endpoint.ts';
import { resolvePrefix } from '../../s3/object-key.ts';
import { createS3Store } from '../../s3/store-file.ts';
import { LocalFailure, messageOf, ServiceUnavailable } from '../../service/errors.ts';
import type { Network } from '../../service/network.ts';
import { version } from '../../service/version.ts';
import { type CheckResult, checkThat, failed, passed } from './result.ts';
import { describeAbilities } from './store.ts';

/** S3 refuses what is signed with a clock this far off. */
const refusedSkewMs = 15 * 60_000;

export type Credentials = ReturnType<typeof createCredentials>;

/** Clock, credentials, the right to write and what the store lacks, in the order in which one needs the other. */
export async function checkAws(
  config: Config,
  credentials: Credentials,
  network: Network,
  log: EventLog,
): Promise<CheckResult[]> {
  return [
    await checkThat('clock', () => compareClocks(config, network)),
    await checkThat('credentials', () => describeCredentials(credentials)),
    ...(await checkStore(config, credentials, network, log)),
  ];
}

async function compareClocks({ s3 }: Config, network: Network): Promise<string> {
  const { origin } = await resolveBucketEndpoint({ ...s3, network }, s3.bucket);
  const { headers } = await network
    .exchange({ origin, path: '/', method: 'GET', headers: {} })
    .catch((cause: unknown) => {
      throw new ServiceUnavailable('s3', `${origin} cannot be reached: ${messageOf(cause)}`, {
        hint: 'check the network, its DNS, the proxy and the firewall',
        cause,
      });
    });
  const skewMs = Date.now() - Date.parse(headers['date'] ?? '');
  if (Number.isNaN(skewMs)) return `${origin} tells no time`;
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const what = seconds <= 1 ? 'right' : `${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} ${origin}`;
  if (Math.abs(skewMs) < refusedSkewMs / 2) return what;
  throw new LocalFailure(what, { hint: 'set the clock, and let it be kept right (timedatectl set-ntp true)' });
}

async function describeCredentials(credentials: Credentials): Promise<CheckResult> {
  await credentials.provider();
  const identity = await credentials.identity();
  const { description, endsAt, endIsEstimate, source } = await credentials.state();
  const who = identity === null ? 'no STS to ask who they are' : identity.arn;
  const until = endsAt === null ? '' : `, until ${endsAt.toISOString()}${endIsEstimate ? ' (estimate)' : ''}`;
  const isStatic = source.kind === 'keys';
  const advice = isStatic ? 'static keys are the last choice: prefer a role (Roles Anywhere, SSO)' : undefined;
  return passed('credentials', `${who}, from ${description}${until}`, advice);
}

async function checkStore(
  { s3 }: Config,
  { provider }: Credentials,
  network: Network,
  log: EventLog,
): Promise<CheckResult[]> {
  const prefix = resolvePrefix(s3.prefix, hostname());
  const signal = AbortSignal.timeout(60_000);
  const name = 'write access';
  const userAgent = `dropledger/${version}`;
  try {
    const options = { ...s3, conditionalWrites: false, credentials: provider, network, log, userAgent };
    await using store = await createS3Store(options);
    await store.probe(prefix, signal);
    const access = passed(name, `a multipart upload was started and aborted under s3://${s3.bucket}/${prefix}`);
    return [access, ...describeAbilities(s3, await store.abilities(prefix, signal))];
  } catch (error) {
    return [failed(name, error)];
  }
}
