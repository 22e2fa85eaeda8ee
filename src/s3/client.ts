import { S3Client } from '@aws-sdk/client-s3';
import type { AwsCredentialIdentityProvider } from '@smithy/types';
import type { Network } from '../service/network.ts';

export interface S3ClientOptions {
  /** Undefined: what the environment or the profile says. */
  readonly region?: string | undefined;
  /** An S3-compatible store; undefined is AWS. */
  readonly endpoint?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  readonly credentials: AwsCredentialIdentityProvider;
  readonly network: Network;
  /** 1 is one attempt; a client for conditional calls must have 1, so that no lost answer is hidden. */
  readonly maxAttempts?: number;
  readonly userAgent?: string | undefined;
  /** Directory buckets: whether to ask them for a session before the first request. */
  readonly expressSessions?: boolean;
}

/**
 * AWS's client, set up for stores of every kind: `WHEN_REQUIRED`, because the checksum trailers it would add by itself
 * are not understood by many of them (we send checksums of our own, as headers).
 */
export function createS3Client({
  region,
  endpoint,
  forcePathStyle = false,
  credentials,
  network,
  maxAttempts = 3,
  userAgent,
  expressSessions = true,
}: S3ClientOptions): S3Client {
  return new S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle,
    credentials,
    maxAttempts,
    requestHandler: network.sdkRequestHandler,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    disableS3ExpressSessionAuth: !expressSessions,
    ...(userAgent === undefined ? {} : { customUserAgent: userAgent }),
  });
}
