import { Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { FilterPattern, type ILogGroup, MetricFilter } from 'aws-cdk-lib/aws-logs';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { namesOf, type Settings, uploaderArnOf } from './settings.ts';

/** What the trail's lines are searched for. Each pattern has at most 1,024 characters: CloudWatch takes no more. */
export interface Watch {
  readonly id: string;
  /** What has happened, and what to look at first. */
  readonly description: string;
  readonly pattern: string;
}

export interface AlarmsProps {
  readonly settings: Settings;
  readonly trailLog: ILogGroup;
  readonly ledgerLog: ILogGroup;
  readonly topic: ITopic;
}

/** An alarm for each watch: one event in five minutes is enough. */
export class Alarms extends Construct {
  constructor(scope: Construct, id: string, { settings, trailLog, ledgerLog, topic }: AlarmsProps) {
    super(scope, id);
    const add = (log: ILogGroup, watch: Watch) => {
      const filter = new MetricFilter(this, `${watch.id}Filter`, {
        logGroup: log,
        metricNamespace: settings.name,
        metricName: watch.id,
        filterPattern: FilterPattern.literal(watch.pattern),
        metricValue: '1',
      });
      const alarm = new Alarm(this, watch.id, {
        alarmName: `${settings.name}-${watch.id}`,
        alarmDescription: watch.description,
        metric: filter.metric({ statistic: 'Sum', period: Duration.minutes(5) }),
        threshold: 1,
        evaluationPeriods: 1,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treatMissingData: TreatMissingData.NOT_BREACHING,
      });
      alarm.addAlarmAction(new SnsAction(topic));
    };
    for (const watch of trailWatches(settings)) add(trailLog, watch);
    add(ledgerLog, refusedLogins);
  }
}

const anyOf = (field: string, values: readonly string[]): string =>
  `(${values.map((value) => `($.${field} = "${value}")`).join(' || ')})`;

const noneOf = (field: string, values: readonly string[]): string =>
  `(${values.map((value) => `($.${field} != "${value}")`).join(' && ')})`;

const uploadCalls = [
  'PutObject',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
];

export function trailWatches(settings: Settings): Watch[] {
  const uploader = byUploader(settings);
  const { bucket } = settings;
  const onBucket = `($.requestParameters.bucketName = "${bucket.name}")`;
  return [
    {
      id: 'uploader-denied',
      description: 'AWS refused something to the uploader: its rights have changed, or somebody tries its credentials.',
      pattern: `{ ${uploader} && (($.errorCode = "*AccessDenied*") || ($.errorCode = "*UnauthorizedOperation")) }`,
    },
    {
      id: 'uploader-reads-or-deletes',
      description: 'The uploader called S3 for something other than writing: its credentials are in other hands.',
      pattern: `{ ${uploader} && ($.eventSource = "s3.amazonaws.com") && ${noneOf('eventName', uploadCalls)} }`,
    },
    {
      id: 'root-used',
      description: 'Somebody works as root of the account.',
      pattern:
        '{ ($.userIdentity.type = "Root") && ($.userIdentity.invokedBy NOT EXISTS) && ($.eventType != "AwsServiceEvent") }',
    },
    {
      id: 'console-touches-objects',
      description: 'Somebody works on the objects by hand, in the console, instead of by a program.',
      pattern: `{ ($.sessionCredentialFromConsole = "true") && ${onBucket} && ${anyOf('eventName', ['GetObject', 'PutObject', 'CopyObject', 'DeleteObject', 'DeleteObjects'])} }`,
    },
    {
      id: 'user-signs-in-to-console',
      description: 'An IAM user signed in to the console: people come by Identity Center here.',
      pattern: '{ ($.eventName = "ConsoleLogin") && ($.userIdentity.type = "IAMUser") }',
    },
    {
      id: 'trail-changed',
      description: 'The trail was stopped, deleted or changed: from then on nothing else here can be trusted.',
      pattern: `{ ($.eventSource = "cloudtrail.amazonaws.com") && ${anyOf('eventName', ['StopLogging', 'DeleteTrail', 'UpdateTrail', 'PutEventSelectors'])} }`,
    },
    {
      id: 'key-changed',
      description: "A KMS key's policy was changed, or a key was disabled or given up.",
      pattern: `{ ($.eventSource = "kms.amazonaws.com") && ${anyOf('eventName', ['PutKeyPolicy', 'DisableKey', 'ScheduleKeyDeletion', 'DeleteAlias', 'UpdateAlias'])} }`,
    },
    {
      id: 'bucket-rules-changed',
      description: "The bucket's policy, versioning, lock, encryption, lifecycle or public access was changed.",
      pattern: `{ ($.eventSource = "s3.amazonaws.com") && ${onBucket} && (($.eventName = "PutBucket*") || ($.eventName = "DeleteBucket*") || ($.eventName = "PutObjectLockConfiguration")) }`,
    },
    {
      id: 'uploader-rights-changed',
      description:
        "A policy of the uploader was changed, such as AmazonS3FullAccess attached to it; the bucket's policy still holds.",
      pattern: `{ ($.eventSource = "iam.amazonaws.com") && (${anyOf('requestParameters.roleName', [rightsHolder(settings)])} || ${anyOf('requestParameters.userName', [rightsHolder(settings)])}) && (($.eventName = "Attach*") || ($.eventName = "Put*") || ($.eventName = "Update*") || ($.eventName = "CreateAccessKey")) }`,
    },
  ];
}

const refusedLogins: Watch = {
  id: 'ledger-login-refused',
  description: 'The ledger refused a login: a wrong or expired token, a user who may not, or a connection without TLS.',
  pattern: '?"authentication failed" ?"no pg_hba.conf entry" ?"is not permitted to log in"',
};

/** A role's calls carry the role as the issuer of their session; a user's carry the user. */
function byUploader(settings: Settings): string {
  switch (settings.uploader.kind) {
    case 'static-key':
      return `($.userIdentity.arn = "${uploaderArnOf(settings)}")`;
    case 'sso':
      return `($.userIdentity.sessionContext.sessionIssuer.userName = "${rightsHolder(settings)}")`;
    case 'instance':
    case 'roles-anywhere':
      return `($.userIdentity.sessionContext.sessionIssuer.arn = "${uploaderArnOf(settings)}")`;
  }
}

const rightsHolder = (settings: Settings): string => {
  const { uploader } = namesOf(settings);
  return settings.uploader.kind === 'sso' ? `AWSReservedSSO_${uploader}_*` : uploader;
};
