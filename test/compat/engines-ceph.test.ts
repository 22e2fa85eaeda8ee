import { describe, expect, test } from 'vitest';
import { cephMissing, startCeph } from '../support/ceph.ts';
import { describeEngines, type EngineServer } from '../support/engine-suite.ts';

async function start(): Promise<EngineServer> {
  const ceph = await startCeph();
  await ceph.createBucket('files');
  const { url, owner, writeOnly } = ceph;
  return { url, owner, writeOnly, bucket: 'files', [Symbol.asyncDispose]: () => ceph[Symbol.asyncDispose]() };
}

const missing = cephMissing();
if (missing === undefined) {
  describeEngines('Ceph RGW', start, { confirmsNothing: true, overwritesAtComplete: true });
} else {
  describe('upload engines on Ceph RGW', () => {
    test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`can't be started: ${missing}`, () => {
      expect.fail(missing);
    });
  });
}
