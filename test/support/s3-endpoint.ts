import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type S3Endpoint, type S3EndpointOptions, startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import type { Credentials } from './signed-request.ts';

export interface TestEndpoint extends S3Endpoint {
  readonly directory: string;
  readonly region: string;
  readonly bucket: string;
  readonly owner: Credentials;
  /** May write under `writeOnlyPrefix`, and nothing else. */
  readonly writeOnly: Credentials;
}

export const writeOnlyPrefix = 'in/';

/** The project's own endpoint in a temporary folder of its own, with one bucket and two credentials. */
export async function startTestEndpoint(options: Partial<S3EndpointOptions> = {}): Promise<TestEndpoint> {
  const temporary = options.directory === undefined ? await mkdtemp(join(tmpdir(), 'dropledger-s3-')) : undefined;
  const directory = options.directory ?? temporary ?? '';
  const bucket = 'bucket';
  const owner = { accessKeyId: 'OWNERKEY', secretAccessKey: 'owner-secret' };
  const writeOnly = { accessKeyId: 'WRITEONLYKEY', secretAccessKey: 'write-only-secret' };
  const endpoint = await startS3Endpoint({
    buckets: [bucket],
    credentials: [
      { ...owner, role: 'owner' },
      { ...writeOnly, role: 'write-only', prefix: writeOnlyPrefix },
    ],
    ...options,
    directory,
  });
  return {
    ...endpoint,
    ...{ directory, region: options.region ?? 'us-east-1', bucket, owner, writeOnly },
    async [Symbol.asyncDispose]() {
      await endpoint[Symbol.asyncDispose]();
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    },
  };
}
