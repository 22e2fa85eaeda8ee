import type { AwsCredentialIdentityProvider } from '@smithy/types';
import type { AbortUpload, EventLog, StoreFile, StoreRequest } from '../model.ts';
import { ConfigError, DropledgerError, messageOf } from '../service/errors.ts';
import type { Network } from '../service/network.ts';
import { askAbilities, proveConditionalPut, type StoreAbilities } from './abilities.ts';
import { type Patience, usualPatience } from './attempts.ts';
import { createPace, type Pace } from './bandwidth.ts';
import type { BucketFacts } from './calls.ts';
import { abortAndForget } from './complete-upload.ts';
import { createConfirm } from './confirmation.ts';
import type { Checksums, StoreContext } from './context.ts';
import { type BucketEndpoint, resolveBucketEndpoint } from './endpoint.ts';
import { classifyS3Failure } from './errors.ts';
import { createFairShares } from './fair-shares.ts';
import { storeInParts } from './multipart.ts';
import { createPartBuffers } from './part-buffers.ts';
import { abortUpload, probeWrite } from './probe.ts';
import type { SdkStore } from './sdk-store.ts';
import { createSha256 } from './sha256.ts';
import { createSignedCalls } from './signed-calls.ts';
import { putWholeFile } from './single-put.ts';

export interface S3StoreOptions extends BucketFacts {
  readonly engine: 'native' | 'lib-storage';
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  readonly partSizeMiB: number;
  /** Requests in flight, over all files. */
  readonly concurrency: number;
  /** All buffers together. */
  readonly memoryMiB: number;
  readonly checksums: Checksums;
  /** Whether puts will be conditional: the probe then looks whether the store takes that. */
  readonly conditionalWrites?: boolean | undefined;
  readonly maxMbitPerSecond?: number | undefined;
  readonly credentials: AwsCredentialIdentityProvider;
  readonly network: Network;
  readonly log: EventLog;
  /** Such as `dropledger/1.0.0`. */
  readonly userAgent: string;
  /** For tests. */
  readonly patience?: Patience;
}

export interface S3Store extends AsyncDisposable {
  readonly store: StoreFile;
  readonly abort: AbortUpload;
  /** Proves that this principal may write under the prefix (expanded); leaves nothing. Same errors as `store`. */
  probe(prefix: string, signal: AbortSignal): Promise<void>;
  /** What an S3-compatible store has of what not all have; undefined for AWS. Leaves nothing. Same errors. */
  abilities(prefix: string, signal: AbortSignal): Promise<StoreAbilities | undefined>;
}

const mebibyte = 2 ** 20;

/** Everything that writes to one bucket. Throws a `ConfigError` where the SDK can make no endpoint of the options. */
export async function createS3Store(options: S3StoreOptions): Promise<S3Store> {
  const { engine, bucket, checksums, concurrency, log, patience = usualPatience } = options;
  const memoryBytes = options.memoryMiB * mebibyte;
  const partSizeBytes = Math.min(options.partSizeMiB * mebibyte, memoryBytes);
  const pace = options.maxMbitPerSecond === undefined ? undefined : createPace(options.maxMbitPerSecond);
  const endpoint = await endpointOf(options);
  const sdk = engine === 'native' && endpoint.plain ? undefined : await openSdkStore(options, pace);
  const signedCalls = createSignedCalls({ ...options, endpoint, pace });
  const calls = sdk?.calls ?? signedCalls;
  const isCompatible = options.endpoint !== undefined && endpoint.plain;
  const sha256 = createSha256();
  const buffers = createPartBuffers({ memoryBytes, partSizeBytes });
  const context: StoreContext = {
    bucket,
    calls,
    checksums,
    partSizeBytes,
    signPayloads: !endpoint.origin.startsWith('https:'),
    patience,
    slots: createFairShares({ total: concurrency, reservedForSmall: Math.floor(concurrency / 4) }),
    buffers,
    sha256,
    confirm: createConfirm(checksums, log),
  };
  const isSmall = ({ file }: StoreRequest) => file.identity.size <= partSizeBytes;
  const native: StoreFile = (request, signal) =>
    isSmall(request) && request.resume === undefined
      ? putWholeFile(context, request, signal)
      : storeInParts(context, request, signal);
  const byUpload = ({ storeByUpload }: SdkStore): StoreFile => {
    return async (request, signal) => {
      const { resume, notes } = request;
      // it can't resume
      if (resume !== undefined) await abortAndForget(context, { ...resume, notes }, signal);
      return isSmall(request)
        ? await putWholeFile(context, request, signal)
        : await storeByUpload(context, request, signal);
    };
  };
  const store = engine === 'lib-storage' && sdk !== undefined ? byUpload(sdk) : native;

  return {
    store: (request, signal) => classified(bucket, () => store(request, signal)),
    abort: (key, uploadId, signal) => classified(bucket, () => abortUpload(calls, key, uploadId, signal)),
    async probe(prefix, signal) {
      await probeWrite({ calls, bucket, prefix, checksummed: checksums !== 'off', signal });
      const looks = options.conditionalWrites === true && isCompatible;
      if (looks) await proveConditionalPut({ calls: signedCalls, bucket, prefix, signal });
    },
    abilities: async (prefix, signal) =>
      isCompatible
        ? await askAbilities({ calls: signedCalls, bucket, prefix, checksummed: checksums !== 'off', signal })
        : undefined,
    async [Symbol.asyncDispose]() {
      buffers[Symbol.dispose]();
      sdk?.[Symbol.dispose]();
      await sha256[Symbol.asyncDispose]();
    },
  };
}

/** Plain SigV4 we sign ourselves; access points of several regions and directory buckets take AWS's client. */
async function endpointOf(options: S3StoreOptions): Promise<BucketEndpoint> {
  try {
    return await resolveBucketEndpoint(options, options.bucket);
  } catch (cause) {
    throw new ConfigError(`No S3 endpoint for the bucket ${options.bucket}: ${messageOf(cause)}`, {
      hint: 'Correct s3.bucket, s3.region or s3.endpoint.',
      cause,
    });
  }
}

/** AWS's managed uploader is loaded where it is used alone. */
async function openSdkStore(options: S3StoreOptions, pace: Pace | undefined): Promise<SdkStore> {
  const { createSdkStore } = await import('./sdk-store.ts');
  return createSdkStore({ ...options, pace });
}

async function classified<T>(bucket: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof DropledgerError ? error : classifyS3Failure(error, bucket);
  }
}
