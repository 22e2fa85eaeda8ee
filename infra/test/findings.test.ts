import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stack } from 'aws-cdk-lib';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { type InstallationName, installation, installations, type Json, synthesise } from './support/installations.ts';

for (const name of Object.keys(installations) as InstallationName[]) {
  test(`${name}: cdk-nag (AwsSolutions) and CloudFormation's validation find nothing that is not explained`, () => {
    assert.deepEqual(installation(name).findings, []);
  });

  test(`${name}: each finding that is meant to be so has a reason of its own, in the template`, () => {
    const acknowledged = Object.values(installation(name).templates).flatMap(({ Resources }) =>
      Object.values(Resources).flatMap(({ Metadata }: Json) => Metadata?.cdk_nag?.rules_to_suppress ?? []),
    );
    assert.ok(acknowledged.length > 0);
    for (const { id, reason } of acknowledged) assert.match(reason, /^.{20,}$/, id);
  });
}

test('the same checks do find an open bucket', () => {
  const { findings } = synthesise((app) => void new Bucket(new Stack(app, 'Careless'), 'Open'));
  assert.ok(
    findings.some((finding) => finding.startsWith('AwsSolutions-S10 ')),
    findings.join('\n'),
  );
});
