import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { partitionOf } from '../../src/aws/policy.ts';
import { namesOf, type Settings } from './settings.ts';

/** Findings that are meant to be so: each by its id, with the reason that an auditor reads. */
export function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  for (const [id, reason] of Object.entries(reasons)) Validations.of(construct).acknowledge({ id, reason });
}

/** Every wildcard that a policy here may have, one by one: any other is a finding of cdk-nag (IAM5). */
export function acknowledgeWildcards(construct: IConstruct, settings: Settings): void {
  const { region, account, bucket, name } = settings;
  const names = namesOf(settings);
  const partition = partitionOf(region);
  const here = (service: string, resource: string) => `arn:${partition}:${service}:${region}:${account}:${resource}`;
  const evidence = 'Every file of this bucket of evidence, to read.';
  const reasons: Record<string, string> = {
    '*': 'Actions that know no resource (describe, list), or a Deny.',
    [`arn:${partition}:s3:::${bucket.name}/${bucket.prefix}*`]:
      'Every key under the prefix: the least that uploading, or reading, can be given.',
    [`arn:${partition}:s3:::${names.trailBucket}/*`]: evidence,
    [`arn:${partition}:s3:::${names.inventoryBucket}/*`]: evidence,
    [`arn:${partition}:s3:::${names.accessLogBucket}/*`]: evidence,
    [`arn:${partition}:s3:::${names.queryBucket}/results/*`]: 'Answers of Athena, named by Athena.',
    [here('ec2', 'instance/*')]: 'Narrowed by the tag of the instance: its id changes whenever it is replaced.',
    [`arn:${partition}:ssm:${region}:*:document/AWS-StartPortForwardingSessionToRemoteHost`]:
      "AWS's own document, whose ARN has no account, or the caller's.",
    [here('ssm', 'session/<aws:userid>-*')]:
      "One's own sessions: Session Manager names them by the user's id and a random end.",
    [here('glue', `table/${names.auditDatabase}/*`)]: 'The tables of the one database that describes the trail.',
    [here('logs', `log-group:/${name}/*`)]: "This installation's log groups: the trail and the sessions.",
  };
  for (const [resource, reason] of Object.entries(reasons)) {
    acknowledge(construct, { [`AwsSolutions-IAM5[Resource::${resource}]`]: reason });
  }
}
