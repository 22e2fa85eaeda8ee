import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import { describeEngines } from '../support/engine-suite.ts';

describeEngines('own endpoint', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'dropledger-endpoint-'));
  const owner = { accessKeyId: 'OWNER', secretAccessKey: 'owner-secret' };
  const writeOnly = { accessKeyId: 'WRITER', secretAccessKey: 'writer-secret' };
  const endpoint = await startS3Endpoint({
    directory,
    buckets: ['files'],
    credentials: [
      { ...owner, role: 'owner' },
      { ...writeOnly, role: 'write-only' },
    ],
  });
  return {
    url: endpoint.url,
    bucket: 'files',
    owner,
    writeOnly,
    async [Symbol.asyncDispose]() {
      await endpoint[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
});
