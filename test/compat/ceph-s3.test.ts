import { describe, expect, test } from 'vitest';
import { cephMissing, startCeph } from '../support/ceph.ts';
import { type ConformanceServer, describeS3Conformance } from '../support/s3-conformance.ts';
import { cephDifferences } from './ceph-s3-differences.ts';

async function connect(): Promise<ConformanceServer & AsyncDisposable> {
  const writeOnlyPrefix = 'in/';
  const bucket = 'conformance';
  const ceph = await startCeph({ writeOnlyPrefix });
  await ceph.createBucket(bucket);
  const { url, region, owner, writeOnly } = ceph;
  return {
    ...{ url, region, owner, writeOnly, writeOnlyPrefix, bucket },
    [Symbol.asyncDispose]: () => ceph[Symbol.asyncDispose](),
  };
}

const missing = cephMissing();
if (missing === undefined) {
  describeS3Conformance('Ceph RGW', connect, cephDifferences);
} else {
  describe('Ceph RGW', () => {
    test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`can't be started: ${missing}`, () => {
      expect.fail(missing);
    });
  });
}
