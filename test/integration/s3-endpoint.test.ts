import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import { type ConformanceServer, describeS3Conformance } from '../support/s3-conformance.ts';

async function connect(): Promise<ConformanceServer & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'dropledger-s3-'));
  const owner = { accessKeyId: 'OWNERKEY', secretAccessKey: 'owner-secret' };
  const writeOnly = { accessKeyId: 'WRITEONLYKEY', secretAccessKey: 'write-only-secret' };
  const writeOnlyPrefix = 'in/';
  const endpoint = await startS3Endpoint({
    directory,
    buckets: ['conformance'],
    credentials: [
      { ...owner, role: 'owner' },
      { ...writeOnly, role: 'write-only', prefix: writeOnlyPrefix },
    ],
  });
  return {
    url: endpoint.url,
    region: 'us-east-1',
    owner,
    writeOnly,
    writeOnlyPrefix,
    bucket: 'conformance',
    async [Symbol.asyncDispose]() {
      await endpoint[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

describeS3Conformance('the project’s own S3 endpoint', connect);
