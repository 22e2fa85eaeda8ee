import { describe, expect, test } from 'vitest';
import { describeEngines, type EngineServer } from '../support/engine-suite.ts';
import { startSwift, swiftMissing } from '../support/swift.ts';

/** A store without conditional writes, chunked bodies and checksums. */
async function start(): Promise<EngineServer> {
  const swift = await startSwift();
  await swift.createBucket('files');
  const { url, owner } = swift;
  return { url, owner, writeOnly: owner, bucket: 'files', [Symbol.asyncDispose]: () => swift[Symbol.asyncDispose]() };
}

const missing = swiftMissing();
if (missing === undefined) {
  const differences = {
    confirmsNothing: true,
    overwritesAtComplete: true,
    noConditionalPuts: true,
    refusesChecksums: true,
  };
  // The other engine meets the same store, a slow one, in the same requests.
  describeEngines('OpenStack Swift', start, differences, ['native']);
} else {
  describe('upload engines on OpenStack Swift', () => {
    test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`can't be started: ${missing}`, () => {
      expect.fail(missing);
    });
  });
}
