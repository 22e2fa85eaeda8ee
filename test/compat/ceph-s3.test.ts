import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { cephMissing, startCeph } from '../support/ceph.ts';
import { type ConformanceServer, type Difference, describeS3Conformance } from '../support/s3-conformance.ts';

const differences: Difference[] = [];

async function connect(): Promise<ConformanceServer & AsyncDisposable> {
  const writeOnlyPrefix = 'in/';
  const ceph = await startCeph({ writeOnlyPrefix });
  const bucket = 'conformance';
  const { url, region, owner, writeOnly } = ceph;
  const s3 = new S3Client({ endpoint: url, region, credentials: owner, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  s3.destroy();
  return {
    ...{ url, region, owner, writeOnly, writeOnlyPrefix, bucket },
    [Symbol.asyncDispose]: () => ceph[Symbol.asyncDispose](),
  };
}

const missing = cephMissing();
if (missing === undefined) {
  describeS3Conformance('Ceph RGW', connect, differences);
} else {
  describe('Ceph RGW', () => {
    test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`can't be started: ${missing}`, () => {
      expect.fail(missing);
    });
  });
}
