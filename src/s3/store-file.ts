import type { S3Client } from '@aws-sdk/client-s3';
import type { AwsCredentialIdentityProvider } from '@smithy/types';
import type { AbortUpload, EventLog, StoreFile, StoreRequest } from '../model.ts';
import { ConfigError, DropledgerError, messageOf } from '../service/errors.ts';
import type { Network } from '../service/network.ts';
import { type Patience, usualPatience } from './attempts.ts';
import { createPace } from './bandwidth.ts';
import type { BucketFacts, S3Calls } from './calls.ts';
import { createS3Client } from './client.ts';
import { abortAndForget } from './complete-upload.ts';
import { createConfirm } from './confirmation.ts';
import type { Checksums, StoreContext } from './context.ts';
import { resolveBucketEndpoint } from './endpoint.ts';
import { classifyS3Failure } from './errors.ts';
import { createFairShares } from './fair-shares.ts';
import { storeByUpload } from './lib-storage.ts';
import { storeInParts } from './multipart.ts';
import { createPartBuffers } from './part-buffers.ts';
import { abortUpload, probeWrite } from './probe.ts';
import { createSdkCalls } from './sdk-calls.ts';
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
}

const mebibyte = 2 ** 20;

/** Everything that writes to one bucket. Throws a `ConfigError` where the SDK can make no endpoint of the options. */
export async function createS3Store(options: S3StoreOptions): Promise<S3Store> {
  const { engine, bucket, checksums, concurrency, log, patience = usualPatience } = options;
  const memoryBytes = options.memoryMiB * mebibyte;
  const partSizeBytes = Math.min(options.partSizeMiB * mebibyte, memoryBytes);
  const client = createS3Client({ ...options, maxAttempts: 1 });
  const { calls, overTls } = await callsFor(options, client);
  const sha256 = createSha256();
  const buffers = createPartBuffers({ memoryBytes, partSizeBytes });
  const context: StoreContext = {
    bucket,
    calls,
    checksums,
    partSizeBytes,
    signPayloads: !overTls,
    patience,
    slots: createFairShares({ total: concurrency, reservedForSmall: Math.floor(concurrency / 4) }),
    buffers,
    sha256,
    confirm: createConfirm(checksums, log),
    log,
  };
  const isSmall = ({ file }: StoreRequest) => file.identity.size <= partSizeBytes;
  const native: StoreFile = (request, signal) =>
    isSmall(request) && request.resume === undefined
      ? putWholeFile(context, request, signal)
      : storeInParts(context, request, signal);
  const libStorage: StoreFile = async (request, signal) => {
    const { resume, notes } = request;
    // it can't resume
    if (resume !== undefined) await abortAndForget(context, { ...resume, notes }, signal);
    return isSmall(request)
      ? await putWholeFile(context, request, signal)
      : await storeByUpload({ ...context, client }, request, signal);
  };
  const store = engine === 'native' ? native : libStorage;

  return {
    store: (request, signal) => classified(bucket, () => store(request, signal)),
    abort: (key, uploadId, signal) => classified(bucket, () => abortUpload(calls, key, uploadId, signal)),
    probe: (prefix, signal) => probeWrite({ calls, bucket, prefix, checksummed: checksums !== 'off', signal }),
    async [Symbol.asyncDispose]() {
      buffers[Symbol.dispose]();
      client.destroy();
      await sha256[Symbol.asyncDispose]();
    },
  };
}

/** Plain SigV4 we sign ourselves; access points of several regions and directory buckets take AWS's client. */
async function callsFor(options: S3StoreOptions, client: S3Client): Promise<{ calls: S3Calls; overTls: boolean }> {
  const { engine, bucket, maxMbitPerSecond } = options;
  const pace = maxMbitPerSecond === undefined ? undefined : createPace(maxMbitPerSecond);
  try {
    const endpoint = await resolveBucketEndpoint(options, bucket);
    const overTls = endpoint.origin.startsWith('https:');
    const own = engine === 'native' && endpoint.plain;
    const calls = own
      ? createSignedCalls({ ...options, endpoint, pace })
      : createSdkCalls({ ...options, client, pace });
    return { calls, overTls };
  } catch (cause) {
    throw new ConfigError(`No S3 endpoint for the bucket ${bucket}: ${messageOf(cause)}`, {
      hint: 'Correct s3.bucket, s3.region or s3.endpoint.',
      cause,
    });
  }
}

async function classified<T>(bucket: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof DropledgerError ? error : classifyS3Failure(error, bucket);
  }
}
