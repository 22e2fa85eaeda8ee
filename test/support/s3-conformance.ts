import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessBehaviours } from './s3-conformance/access.ts';
import { authenticationBehaviours } from './s3-conformance/authentication.ts';
import type { Behaviour, Behaviours } from './s3-conformance/behaviour.ts';
import { checksumBehaviours } from './s3-conformance/checksums.ts';
import { conditionBehaviours } from './s3-conformance/conditions.ts';
import { listingBehaviours } from './s3-conformance/listing.ts';
import { multipartBehaviours } from './s3-conformance/multipart.ts';
import { objectBehaviours } from './s3-conformance/objects.ts';
import { type ConformanceServer, createProbe, type Probe } from './s3-conformance/probe.ts';

export type { ConformanceServer } from './s3-conformance/probe.ts';

/**
 * What a server does otherwise than S3. The test runs all the same, and asserts `instead`: a difference that is gone, or
 * has become another one, is found out.
 */
export interface Difference {
  /** Name of the behaviour, as it stands in the suite. */
  readonly test: string;
  readonly instead: unknown;
  readonly why: string;
}

const groups: Readonly<Record<string, Behaviours>> = {
  authentication: authenticationBehaviours,
  access: accessBehaviours,
  objects: objectBehaviours,
  listing: listingBehaviours,
  conditions: conditionBehaviours,
  checksums: checksumBehaviours,
  multipart: multipartBehaviours,
};

/**
 * What this project relies on S3 to do, one behaviour a test, as AWS documents it. A behaviour observes something and
 * says what S3 shows there; `differences` says what this server shows instead, one by one.
 */
export function describeS3Conformance(
  name: string,
  connect: () => Promise<ConformanceServer & AsyncDisposable>,
  differences: readonly Difference[] = [],
): void {
  const byTest = new Map(differences.map((difference) => [difference.test, difference]));

  describe(name, () => {
    let server: ConformanceServer & AsyncDisposable;
    let probe: Probe;
    beforeAll(async () => {
      server = await connect();
      probe = createProbe(server);
    });
    afterAll(async () => {
      probe?.close();
      await server?.[Symbol.asyncDispose]();
    });

    for (const [group, behaviours] of Object.entries(groups)) {
      describe(group, () => {
        for (const [behaviour, { s3, observe }] of Object.entries(behaviours)) {
          const difference = byTest.get(behaviour);
          byTest.delete(behaviour);
          const title = difference === undefined ? behaviour : `${behaviour} — differs: ${difference.why}`;
          test(title, { concurrent: true }, () => check({ s3, observe }, () => probe, difference));
        }
      });
    }

    test('every difference that is declared is one', () => {
      expect([...byTest.keys()], 'no behaviour has this name').toEqual([]);
    });
  });
}

async function check(
  { s3, observe }: Behaviour,
  probe: () => Probe,
  difference: Difference | undefined,
): Promise<void> {
  const observed = await observe(probe().forOneTest());
  if (difference === undefined) {
    expect(observed).toEqual(s3);
    return;
  }
  expect(observed, 'what is declared to differ').toEqual(difference.instead);
  expect(observed, 'it does as S3 does: the difference is gone').not.toEqual(s3);
}
