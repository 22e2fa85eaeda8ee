import { PutObjectCommand } from '@aws-sdk/client-s3';
import { createS3Client, type S3ClientOptions } from './client.ts';

/** Where the objects of a bucket are sent to, and how requests are signed there. */
export interface BucketEndpoint {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Before the key: empty for virtual hosts, `/bucket` for path style. */
  readonly basePath: string;
  readonly signingRegion: string;
  readonly signingName: string;
  /** Plain SigV4, which our own signed calls do; access points of several regions and directory buckets need more. */
  readonly plain: boolean;
}

interface ResolvedEndpoint {
  readonly url: URL;
  readonly properties?: {
    readonly backend?: string;
    readonly authSchemes?: readonly { name?: string; signingName?: string; signingRegion?: string }[];
  };
  readonly headers?: Readonly<Record<string, readonly string[]>>;
}

/**
 * Asks the SDK's own rules where this bucket is (virtual host, path style, FIPS, dual stack, access point…) by letting it
 * prepare a put that is stopped before it is signed. Needs no network and no credentials: it asks a client of its own,
 * whose keys sign nothing. Throws what the SDK says of a bad bucket or region.
 */
export async function resolveBucketEndpoint(
  options: Omit<S3ClientOptions, 'credentials'>,
  bucket: string,
): Promise<BucketEndpoint> {
  const nobody = { accessKeyId: 'none', secretAccessKey: 'none' };
  const client = createS3Client({ ...options, credentials: async () => nobody, expressSessions: false });
  let resolved: ResolvedEndpoint | undefined;
  const command = new PutObjectCommand({ Bucket: bucket, Key: 'key' });
  command.middlewareStack.add(
    (_next, context) => () => {
      resolved = (context as { endpointV2?: ResolvedEndpoint }).endpointV2;
      return Promise.resolve({ output: { $metadata: {} }, response: undefined });
    },
    { step: 'build', priority: 'low', name: 'stopOncePrepared' },
  );
  const region = await client.config.region();
  await client.send(command).finally(() => client.destroy());
  if (resolved === undefined) throw new Error('the SDK resolved no endpoint');

  const { url, properties, headers } = resolved;
  const scheme = properties?.authSchemes?.[0];
  return {
    origin: url.origin,
    basePath: url.pathname.replace(/\/$/, ''),
    signingRegion: scheme?.signingRegion ?? region,
    signingName: scheme?.signingName ?? 's3',
    plain:
      (scheme?.name ?? 'sigv4') === 'sigv4' &&
      properties?.backend === undefined &&
      Object.keys(headers ?? {}).length === 0,
  };
}
