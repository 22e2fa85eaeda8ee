import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import {
  BlockedEncryptionType,
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  InventoryFormat,
  InventoryFrequency,
  InventoryObjectVersion,
  type LifecycleRule,
  ObjectLockRetention,
  ObjectOwnership,
  StorageClass,
} from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { createPolicies } from '../../src/aws/policy.ts';
import { acknowledge } from './acknowledge.ts';
import type { IdentityStack } from './identity-stack.ts';
import { type BucketSettings, namesOf, type Settings, uploaderArnOf } from './settings.ts';

export interface ObjectsStackProps extends StackProps {
  readonly settings: Settings;
  /** Absent with SSO, whose role Identity Center makes. */
  readonly identity: IdentityStack | undefined;
}

/** What every bucket here has in common; nothing is ever deleted along with its stack. */
export const closedBucket = {
  blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
  objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
  enforceSSL: true,
  removalPolicy: RemovalPolicy.RETAIN,
} as const;

/** The bucket, its key, and the two buckets that tell of it: inventory and access logs. */
export class ObjectsStack extends Stack {
  readonly key: Key;
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string, { settings, identity, ...props }: ObjectsStackProps) {
    super(scope, id, props);
    // The key's policy names the uploader, and KMS takes no name that does not exist yet.
    if (identity !== undefined) this.addStackDependency(identity);
    this.key = new Key(this, 'Key', {
      alias: namesOf(settings).keyAlias,
      description: "dropledger: what lies in the bucket; who can't use it can't read",
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const accessLogs = this.#accessLogBucket(settings);
    this.bucket = this.#objectBucket(settings, accessLogs);
    this.#attachPolicies(settings, identity);
    new CfnOutput(this, 'BucketName', { description: 's3.bucket', value: this.bucket.bucketName });
    new CfnOutput(this, 'KeyArn', {
      description: 's3.sseKmsKeyId (not needed: it is the default)',
      value: this.key.keyArn,
    });
  }

  #objectBucket(settings: Settings, accessLogs: Bucket): Bucket {
    const { bucket } = settings;
    return new Bucket(this, 'Objects', {
      ...closedBucket,
      bucketName: bucket.name,
      encryption: BucketEncryption.KMS,
      encryptionKey: this.key,
      blockedEncryptionTypes: [BlockedEncryptionType.SSE_C], // A key of the caller's own: ransom has been taken by it.
      bucketKeyEnabled: true, // One call to KMS for many objects, not one for each.
      versioned: true,
      ...objectLockOf(bucket),
      lifecycleRules: lifecycleOf(bucket),
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: `${bucket.name}/`,
      inventories: [
        {
          inventoryId: 'dropledger-daily',
          destination: { bucket: this.#inventoryBucket(settings, accessLogs), prefix: 'inventory' },
          format: InventoryFormat.CSV,
          frequency: InventoryFrequency.DAILY,
          includeObjectVersions: InventoryObjectVersion.ALL,
          optionalFields: [
            'Size',
            'LastModifiedDate',
            'ETag',
            'IsMultipartUploaded',
            'StorageClass',
            'ChecksumAlgorithm',
          ],
        },
      ],
    });
  }

  #inventoryBucket(settings: Settings, accessLogs: Bucket): Bucket {
    return new Bucket(this, 'Inventory', {
      ...closedBucket,
      bucketName: namesOf(settings).inventoryBucket,
      encryption: BucketEncryption.S3_MANAGED,
      lifecycleRules: [{ expiration: Duration.days(400) }],
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: 'inventory/',
    });
  }

  #accessLogBucket(settings: Settings): Bucket {
    const bucket = new Bucket(this, 'AccessLogs', {
      ...closedBucket,
      bucketName: namesOf(settings).accessLogBucket,
      encryption: BucketEncryption.S3_MANAGED, // S3 delivers access logs to no other.
      lifecycleRules: [{ expiration: Duration.days(400) }],
    });
    // The audit stack's buckets log here as well; they come later, so it is said by account, not one by one.
    bucket.addToResourcePolicy(
      new PolicyStatement({
        sid: 'LogsOfThisAccount',
        principals: [new ServicePrincipal('logging.s3.amazonaws.com')],
        actions: ['s3:PutObject'],
        resources: [bucket.arnForObjects('*')],
        conditions: { StringEquals: { 'aws:SourceAccount': settings.account } },
      }),
    );
    acknowledge(bucket, {
      'AwsSolutions-S1': 'It receives the access logs: logging itself to itself would never end.',
    });
    return bucket;
  }

  /** The very statements that `dropledger policy` prints. */
  #attachPolicies(settings: Settings, identity: IdentityStack | undefined): void {
    const { bucketPolicy, keyPolicyStatement } = createPolicies({
      bucket: settings.bucket.name,
      prefix: settings.bucket.prefix,
      region: settings.region,
      account: settings.account,
      uploaderArn: uploaderArnOf(settings),
      kmsKeyArn: this.key.keyArn,
      conditionalWrites: settings.bucket.conditionalWrites,
    });
    for (const statement of bucketPolicy.Statement) {
      if (statement.Sid === 'DenyPlainHttp') continue; // `enforceSSL` says it already.
      this.bucket.addToResourcePolicy(PolicyStatement.fromJson(statement));
    }
    // SSO's role has no name yet: there the key leaves it to the permission set.
    if (identity !== undefined && keyPolicyStatement !== undefined) {
      this.key.addToResourcePolicy(PolicyStatement.fromJson(keyPolicyStatement));
    }
  }
}

function objectLockOf({ objectLock }: BucketSettings) {
  if (objectLock === undefined) return {};
  const days = Duration.days(objectLock.days);
  return {
    objectLockEnabled: true,
    objectLockDefaultRetention:
      objectLock.mode === 'COMPLIANCE' ? ObjectLockRetention.compliance(days) : ObjectLockRetention.governance(days),
  };
}

function lifecycleOf({ infrequentAccessAfterDays, glacierAfterDays }: BucketSettings): LifecycleRule[] {
  const transition = (storageClass: StorageClass, days: number | undefined) =>
    days === undefined ? [] : [{ storageClass, transitionAfter: Duration.days(days) }];
  const transitions = [
    ...transition(StorageClass.INFREQUENT_ACCESS, infrequentAccessAfterDays),
    ...transition(StorageClass.GLACIER, glacierAfterDays),
  ];
  return [
    { id: 'abort-unfinished-uploads', abortIncompleteMultipartUploadAfter: Duration.days(7) },
    ...(transitions.length === 0 ? [] : [{ id: 'cheaper-with-age', transitions }]),
  ];
}
