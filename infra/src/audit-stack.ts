import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { ReadWriteType, Trail } from 'aws-cdk-lib/aws-cloudtrail';
import { ManagedRule, ManagedRuleIdentifiers } from 'aws-cdk-lib/aws-config';
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Bucket, BucketEncryption, type IBucket, ObjectLockRetention } from 'aws-cdk-lib/aws-s3';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { Alarms } from './alarms.ts';
import type { LedgerStack } from './ledger-stack.ts';
import { closedBucket, type ObjectsStack } from './objects-stack.ts';
import { namesOf, type Settings } from './settings.ts';
import { TrailQueries } from './trail-queries.ts';

export interface AuditStackProps extends StackProps {
  readonly settings: Settings;
  readonly objects: ObjectsStack;
  readonly ledger: LedgerStack;
}

/** Who did what: a trail that nobody can alter, alarms on what should never happen, and the questions to ask it. */
export class AuditStack extends Stack {
  readonly key: Key;
  readonly trailBucket: IBucket;
  readonly queryBucket: IBucket;
  readonly trailLog: LogGroup;
  readonly #accessLogs: IBucket;

  constructor(scope: Construct, id: string, { settings, objects, ledger, ...props }: AuditStackProps) {
    super(scope, id, props);
    const { audit } = settings;
    const names = namesOf(settings);
    this.addStackDependency(objects);
    this.#accessLogs = Bucket.fromBucketName(this, 'AccessLogs', names.accessLogBucket);
    this.key = this.#auditKey(settings);
    this.trailBucket = this.#trailBucket(settings);
    this.queryBucket = this.#bucket('Queries', names.queryBucket, {
      lifecycleRules: [{ expiration: Duration.days(30) }],
    });
    this.trailLog = new LogGroup(this, 'TrailLog', {
      logGroupName: `/${settings.name}/trail`,
      encryptionKey: this.key,
      retention: RetentionDays.ONE_YEAR,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.#trail(settings, objects);

    const topic = new Topic(this, 'Alarm', {
      topicName: `${settings.name}-alarms`,
      masterKey: this.key,
      enforceSSL: true,
    });
    for (const address of audit.alarmEmails) topic.addSubscription(new EmailSubscription(address));
    new Alarms(this, 'Alarms', { settings, trailLog: this.trailLog, ledgerLog: ledger.logGroup, topic });
    if (settings.uploader.kind === 'static-key') this.#watchKeyAge(settings.uploader.maxKeyAgeDays, topic);

    new TrailQueries(this, 'Questions', {
      settings,
      trailBucket: this.trailBucket,
      queryBucket: this.queryBucket,
      key: this.key,
    });
    new CfnOutput(this, 'TrailBucket', { value: this.trailBucket.bucketName });
    new CfnOutput(this, 'WorkGroup', { description: 'aws athena … --work-group', value: names.workGroup });
  }

  #auditKey(settings: Settings): Key {
    const { account, region } = settings;
    const key = new Key(this, 'Key', {
      alias: `alias/${settings.name}-audit`,
      description: 'dropledger: the trail, its copies and its alarms',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const trailArn = this.formatArn({
      service: 'cloudtrail',
      resource: 'trail',
      resourceName: namesOf(settings).trail,
    });
    const allow = (sid: string, service: string, actions: string[], conditions: Record<string, unknown>) =>
      key.addToResourcePolicy(
        new PolicyStatement({
          sid,
          principals: [new ServicePrincipal(service)],
          actions,
          resources: ['*'],
          conditions,
        }),
      );
    allow('TrailEncrypts', 'cloudtrail.amazonaws.com', ['kms:GenerateDataKey*', 'kms:DescribeKey'], {
      StringEquals: { 'aws:SourceArn': trailArn },
    });
    allow(
      'LogsEncrypt',
      `logs.${region}.amazonaws.com`,
      ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
      {
        ArnLike: {
          'kms:EncryptionContext:aws:logs:arn': `arn:${this.partition}:logs:${region}:${account}:log-group:/${settings.name}/*`,
        },
      },
    );
    for (const service of ['cloudwatch', 'events']) {
      allow(`${service}Tells`, `${service}.amazonaws.com`, ['kms:Decrypt', 'kms:GenerateDataKey*'], {
        StringEquals: { 'aws:SourceAccount': account },
      });
    }
    return key;
  }

  #bucket(id: string, bucketName: string, more: object): Bucket {
    const bucket = new Bucket(this, id, {
      ...closedBucket,
      bucketName,
      encryption: BucketEncryption.KMS,
      encryptionKey: this.key,
      bucketKeyEnabled: true,
      serverAccessLogsBucket: this.#accessLogs,
      serverAccessLogsPrefix: `${bucketName}/`,
      ...more,
    });
    acknowledge(bucket, {
      'Annotation::@aws-cdk/aws-s3:accessLogsPolicyNotAdded':
        'The access log bucket takes the logs of every bucket of this account.',
    });
    return bucket;
  }

  #trailBucket(settings: Settings): Bucket {
    const { trailLockDays, trailLockMode } = settings.audit;
    const days = Duration.days(trailLockDays);
    return this.#bucket('Trail', namesOf(settings).trailBucket, {
      versioned: true,
      objectLockEnabled: true,
      objectLockDefaultRetention:
        trailLockMode === 'COMPLIANCE' ? ObjectLockRetention.compliance(days) : ObjectLockRetention.governance(days),
    });
  }

  #trail(settings: Settings, { bucket }: ObjectsStack): void {
    const trail = new Trail(this, 'CloudTrail', {
      trailName: namesOf(settings).trail,
      bucket: this.trailBucket,
      encryptionKey: this.key,
      isMultiRegionTrail: true,
      includeGlobalServiceEvents: true,
      enableFileValidation: true,
      managementEvents: ReadWriteType.ALL,
      sendToCloudWatchLogs: true,
      cloudWatchLogGroup: this.trailLog,
    });
    // Every single read, write and delete of an object, by whomever.
    trail.addS3EventSelector([{ bucket }], { readWriteType: ReadWriteType.ALL, includeManagementEvents: true });
    acknowledge(trail, {
      'AwsSolutions-IAM5': "CloudTrail's own role, to write to the streams of its one log group.",
    });
  }

  /** Needs AWS Config's recorder to be on in this account. */
  #watchKeyAge(maxDays: number, topic: Topic): void {
    const rule = new ManagedRule(this, 'KeyAge', {
      identifier: ManagedRuleIdentifiers.ACCESS_KEYS_ROTATED,
      description: `dropledger: access keys are younger than ${maxDays} days`,
      inputParameters: { maxAccessKeyAge: String(maxDays) },
    });
    rule.onComplianceChange('KeyIsOld', {
      target: new SnsTopic(topic),
      eventPattern: { detail: { newEvaluationResult: { complianceType: ['NON_COMPLIANT'] } } },
    });
  }
}
