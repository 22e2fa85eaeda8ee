import {
  fromContainerMetadata,
  fromHttp,
  fromInstanceMetadata,
  fromNodeProviderChain,
  fromTemporaryCredentials,
} from '@aws-sdk/credential-providers';
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider } from '@smithy/types';
import { DropledgerError } from '../service/errors.ts';
import type { Network } from '../service/network.ts';
import { type CallerIdentity, createIdentity } from './identity.ts';
import { classifyProviderError, missing } from './provider-errors.ts';
import type { Environment } from './shared-files.ts';
import { type CredentialSource, describeSource, findSource, mendingOf, renewsItself } from './source.ts';
import { readSsoToken } from './sso-token.ts';
import { createWitness } from './witness.ts';

export interface CredentialsOptions {
  readonly profile?: string | undefined;
  /** Assumed with what the chain gives. */
  readonly roleArn?: string | undefined;
  /** For STS; us-east-1 where there is none. */
  readonly region?: string | undefined;
  /** How long a portal session lasts, which stands in no file. */
  readonly ssoSessionHours: number;
  /** `s3.endpoint`: STS is asked only where S3 is AWS's own, or `AWS_ENDPOINT_URL_STS` is set. */
  readonly s3Endpoint?: string | undefined;
  /** The environment of the process: the SDK itself reads no other. */
  readonly env: Environment;
  readonly network: Network;
}

export interface CredentialState {
  readonly source: CredentialSource;
  /** For people. */
  readonly description: string;
  /** What to do where they are missing or refused. */
  readonly mending: string;
  /** When the credentials in use end; null where they don't say. */
  readonly expiresAt: Date | null;
  readonly renewsItself: boolean;
  /** When a person must act: the end of a login, or of credentials that nothing renews; null where it can't be told. */
  readonly endsAt: Date | null;
  readonly endIsEstimate: boolean;
}

export interface Credentials {
  /**
   * For clients. Caches, and renews five minutes before the end; `forceRefresh` reads everything anew. Throws a
   * `CredentialsError` where a person must act, `ServiceUnavailable` where waiting helps.
   */
  readonly provider: AwsCredentialIdentityProvider;
  /** Forgets everything and reads again: a new login, an edited file. Same errors. */
  refresh(): Promise<void>;
  state(): Promise<CredentialState>;
  /** Who AWS says they are; null where there is no STS to ask. Same errors. */
  identity(): Promise<CallerIdentity | null>;
}

const renewBeforeMs = 5 * 60_000;
/** Credentials that don't say when they end are read again: somebody may have rotated them. */
const rereadMs = 60_000;
/** A renewal that failed while the credentials still hold is not repeated sooner. */
const renewAgainMs = 30_000;

/** The metadata service of EC2 is slow while a machine boots; the SDK's own second is too short. */
const metadataService = { timeout: 5_000, maxRetries: 3, ec2MetadataV1Disabled: true };

export function createCredentials(options: CredentialsOptions): Credentials {
  const { env, network, profile, ssoSessionHours } = options;
  const witness = createWitness(network.sdkRequestHandler);
  let chain: { readonly source: CredentialSource; readonly provide: AwsCredentialIdentityProvider } | undefined;
  let current: AwsCredentialIdentity | undefined;
  let askAgainAt = 0;
  let asking: Promise<AwsCredentialIdentity> | undefined;
  /** Token files that our own refresh wrote: their time is not that of a login. */
  const ownWrites = new Set<number>();
  let loginAt: Date | undefined;

  async function ask(): Promise<AwsCredentialIdentity> {
    const source = await findSource(env, profile);
    if (source.kind === 'none') throw missing(source, describeSource(source));
    if (chain === undefined || JSON.stringify(chain.source) !== JSON.stringify(source)) {
      chain = { source, provide: providerFor(source) };
    }
    const before = await readSsoToken(source, env);
    // the SDK refreshes an SSO token every 30 s at most: between, what the last attempt came to still holds
    if (witness.last === 'granted' || before === undefined) witness.forget();
    try {
      return await chain.provide();
    } catch (error) {
      chain = undefined;
      throw error instanceof DropledgerError
        ? error
        : classifyProviderError({ source, error, lastExchange: witness.last, ssoToken: before });
    } finally {
      const after = await readSsoToken(source, env);
      if (before && after && after.writtenAt > before.writtenAt) ownWrites.add(after.writtenAt.getTime());
    }
  }

  function providerFor(source: CredentialSource): AwsCredentialIdentityProvider {
    const base = baseProvider(source);
    if (options.roleArn === undefined) return base;
    return fromTemporaryCredentials({
      masterCredentials: base,
      params: { RoleArn: options.roleArn, RoleSessionName: 'dropledger' },
      clientConfig: { region: options.region ?? 'us-east-1', requestHandler: witness.requestHandler },
    }) as AwsCredentialIdentityProvider;
  }

  function baseProvider(source: CredentialSource): AwsCredentialIdentityProvider {
    // asked by themselves, because the chain loses what they answered
    if (source.kind === 'ec2') return fromInstanceMetadata(metadataService);
    if (source.kind === 'container') return containerProvider(env);
    return fromNodeProviderChain({
      ...metadataService,
      ...(profile === undefined ? {} : { profile }),
      ignoreCache: true,
      clientConfig: { requestHandler: witness.requestHandler },
      parentClientConfig: { requestHandler: witness.requestHandler, region: async () => options.region ?? 'us-east-1' },
    });
  }

  /** One question at a time, whoever asks. */
  function askOnce(): Promise<AwsCredentialIdentity> {
    asking ??= ask()
      .then((identity) => {
        current = identity;
        askAgainAt = identity.expiration ? identity.expiration.getTime() - renewBeforeMs : Date.now() + rereadMs;
        return identity;
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  }

  const provider: AwsCredentialIdentityProvider = async ({ forceRefresh } = {}) => {
    if (forceRefresh === true) chain = undefined;
    else if (current !== undefined && Date.now() < askAgainAt) return current;
    const held = current;
    const stillGood = held !== undefined && (held.expiration === undefined || held.expiration.getTime() > Date.now());
    if (forceRefresh === true || !stillGood) return await askOnce();
    // what we have still holds: nobody waits for the renewal, and its failure harms nobody yet
    askAgainAt = Date.now() + renewAgainMs;
    askOnce().catch(() => {});
    return held;
  };

  async function endOf(source: CredentialSource): Promise<Pick<CredentialState, 'endsAt' | 'endIsEstimate'>> {
    const token = await readSsoToken(source, env);
    if (source.kind === 'sso-legacy') return { endsAt: token?.expiresAt ?? null, endIsEstimate: false };
    if (source.kind !== 'sso-session') {
      return { endsAt: renewsItself(source) ? null : (current?.expiration ?? null), endIsEstimate: false };
    }
    if (token === undefined) return { endsAt: null, endIsEstimate: false };
    if (!token.refreshable) return { endsAt: token.expiresAt, endIsEstimate: false };
    if (loginAt === undefined || !ownWrites.has(token.writtenAt.getTime())) loginAt = token.writtenAt;
    return { endsAt: new Date(loginAt.getTime() + ssoSessionHours * 3_600_000), endIsEstimate: true };
  }

  return {
    provider,
    async refresh() {
      chain = undefined;
      await asking?.catch(() => {});
      await askOnce();
    },
    async state() {
      const source = await findSource(env, profile);
      return {
        source,
        description: describeSource(source) + (options.roleArn === undefined ? '' : `, then role ${options.roleArn}`),
        mending: mendingOf(source),
        expiresAt: current?.expiration ?? null,
        renewsItself: renewsItself(source),
        ...(await endOf(source)),
      };
    },
    identity: createIdentity({ ...options, provider, source: () => findSource(env, profile) }),
  };
}

function containerProvider(env: Environment): AwsCredentialIdentityProvider {
  const http = fromHttp(metadataService) as AwsCredentialIdentityProvider;
  // fromHttp knows both addresses; the other is the older reader of the relative one
  if (!env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']) return http;
  const older = fromContainerMetadata(metadataService);
  return (identityOptions) => http(identityOptions).catch(() => older(identityOptions));
}
