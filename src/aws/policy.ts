/**
 * The rights that the daemon needs in AWS, and no more, as policies to hand in. Pure, and without an import: the command
 * `policy` prints them, and the CDK app in `infra/` attaches the very same ones.
 */

export interface PolicyOptions {
  /** The name of the bucket, or the ARN of an access point. */
  readonly bucket: string;
  /** As keys begin with it: `${host}` is expanded already. */
  readonly prefix: string;
  /** Of the bucket and its key. */
  readonly region: string;
  readonly account?: string | undefined;
  /** ARN of the IAM role or user that the daemon acts as. */
  readonly uploaderArn?: string | undefined;
  /** Of the KMS key that objects are encrypted with, by the bucket's default or by `s3.sseKmsKeyId`. */
  readonly kmsKeyArn?: string | undefined;
  /** Whether every write carries `If-None-Match`: then the bucket can demand it. */
  readonly conditionalWrites: boolean;
  /** Absent where the ledger is not logged in to by IAM token. */
  readonly ledger?: LedgerLogin | undefined;
}

export interface LedgerLogin {
  readonly region: string;
  /** `db-…` of an instance, `cluster-…` of Aurora, `prx-…` of a proxy: never the name of the database. */
  readonly resourceId?: string | undefined;
  readonly user: string;
  readonly readerUser?: string | undefined;
}

type Condition = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface Statement {
  readonly Sid: StatementName;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: '*' | { readonly AWS: string };
  readonly Action?: readonly string[];
  readonly NotAction?: readonly string[];
  readonly Resource?: readonly string[];
  readonly NotResource?: readonly string[];
  readonly Condition?: Condition;
}

export interface PolicyDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

export interface Policies {
  /** For the role or user that the daemon acts as. */
  readonly iamPolicy: PolicyDocument;
  /** For the bucket: holds even where somebody attaches a wider policy to the uploader. */
  readonly bucketPolicy: PolicyDocument;
  /** To add to the policy of the KMS key; absent where no key is named. */
  readonly keyPolicyStatement: Statement | undefined;
  /** What `rds-db:connect` is granted on; absent where the login is by password. */
  readonly rdsDbArns: { readonly writer: string; readonly reader: string | undefined } | undefined;
}

/** Stand where a fact is unknown, to be replaced by hand. */
export const placeholders = {
  account: 'ACCOUNT',
  resourceId: 'RESOURCE_ID',
  uploader: 'UPLOADER',
  bucket: 'BUCKET',
} as const;

/** Why each statement is there, in a line. */
export const why = {
  UploadUnderPrefix:
    'writing needs s3:PutObject alone (multipart uploads included), and s3:AbortMultipartUpload to clean up after itself; it never lists, reads or deletes',
  EncryptWithBucketKey:
    'SSE-KMS: a data key for each object, and Decrypt because S3 reads the parts of a multipart upload back; through S3 only',
  LogInToLedger: 'a login token for this one database user, in place of a password',
  DenyPlainHttp: 'nobody talks to the bucket without TLS',
  DenyOverwriting:
    'a write under the prefix must say If-None-Match, so that nothing is ever replaced; creating a multipart upload and its parts cannot say it and is exempt',
  DenyOtherEncryption: "nobody stores under another key, or under S3's own: what is stored is readable with this key",
  DenyOtherKey: 'the same, for requests that name a key',
  DenyUploaderAllElse: 'the uploader can only write, even if somebody attaches AmazonS3FullAccess to it',
  DenyUploaderElsewhere: 'and only under the prefix',
  LetUploaderUseKey: 'the key side of EncryptWithBucketKey: needed where the key does not leave it to IAM policies',
} as const;

export type StatementName = keyof typeof why;

const writing = ['s3:PutObject', 's3:AbortMultipartUpload'] as const;
const encrypting = ['kms:GenerateDataKey', 'kms:Decrypt'] as const;

export function createPolicies(options: PolicyOptions): Policies {
  const { kmsKeyArn, ledger } = options;
  return {
    iamPolicy: policyOf(iamStatements(options)),
    bucketPolicy: policyOf(bucketStatements(options)),
    keyPolicyStatement: kmsKeyArn === undefined ? undefined : keyStatement(options),
    rdsDbArns:
      ledger === undefined
        ? undefined
        : {
            writer: rdsDbArn(options, ledger, ledger.user),
            reader: ledger.readerUser === undefined ? undefined : rdsDbArn(options, ledger, ledger.readerUser),
          },
  };
}

const policyOf = (statements: readonly Statement[]): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: statements,
});

function iamStatements(options: PolicyOptions): Statement[] {
  const { kmsKeyArn, ledger } = options;
  const upload: Statement = {
    Sid: 'UploadUnderPrefix',
    Effect: 'Allow',
    Action: writing,
    Resource: [objectsArn(options, options.bucket)],
  };
  const encrypt = kmsKeyArn === undefined ? [] : [encryptStatement(options, kmsKeyArn)];
  const logIn: Statement[] =
    ledger === undefined
      ? []
      : [
          {
            Sid: 'LogInToLedger',
            Effect: 'Allow',
            Action: ['rds-db:connect'],
            Resource: [rdsDbArn(options, ledger, ledger.user)],
          },
        ];
  return [upload, ...encrypt, ...logIn];
}

const encryptStatement = (options: PolicyOptions, kmsKeyArn: string): Statement => ({
  Sid: 'EncryptWithBucketKey',
  Effect: 'Allow',
  Action: encrypting,
  Resource: [kmsKeyArn],
  Condition: throughS3(options),
});

const keyStatement = (options: PolicyOptions): Statement => ({
  Sid: 'LetUploaderUseKey',
  Effect: 'Allow',
  Principal: { AWS: uploaderArn(options) },
  Action: encrypting,
  Resource: ['*'],
  Condition: throughS3(options),
});

const throughS3 = ({ region }: PolicyOptions): Condition => ({
  StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
});

function bucketStatements(options: PolicyOptions): Statement[] {
  // An access point is no bucket: its bucket's name is not to be had from it.
  const bucket = isArn(options.bucket) ? placeholders.bucket : options.bucket;
  const bucketArn = `arn:${partitionOf(options.region)}:s3:::${bucket}`;
  const whole = [bucketArn, `${bucketArn}/*`];
  const underPrefix = [objectsArn(options, bucket)];
  const everyone = { Effect: 'Deny', Principal: '*' } as const;
  const uploader = { ArnEquals: { 'aws:PrincipalArn': uploaderArn(options) } };
  const statements: (Statement | false)[] = [
    {
      ...{ Sid: 'DenyPlainHttp', ...everyone, Action: ['s3:*'], Resource: whole },
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    },
    options.conditionalWrites && {
      ...{ Sid: 'DenyOverwriting', ...everyone, Action: ['s3:PutObject'], Resource: underPrefix },
      Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
    },
    ...otherEncryption(options, underPrefix),
    {
      ...{ Sid: 'DenyUploaderAllElse', ...everyone, NotAction: writing, Resource: whole },
      Condition: uploader,
    },
    options.prefix !== '' && {
      ...{ Sid: 'DenyUploaderElsewhere', ...everyone, Action: writing, NotResource: underPrefix },
      Condition: uploader,
    },
  ];
  return statements.filter((statement) => statement !== false);
}

/** A request that names no encryption gets the bucket's default: only one that names another is refused. */
function otherEncryption({ kmsKeyArn }: PolicyOptions, underPrefix: readonly string[]): Statement[] {
  if (kmsKeyArn === undefined) return [];
  const unless = (Sid: StatementName, key: string, value: string): Statement => ({
    ...{ Sid, Effect: 'Deny', Principal: '*', Action: ['s3:PutObject'], Resource: underPrefix },
    Condition: { Null: { [key]: 'false' }, StringNotEquals: { [key]: value } },
  });
  return [
    unless('DenyOtherEncryption', 's3:x-amz-server-side-encryption', 'aws:kms'),
    unless('DenyOtherKey', 's3:x-amz-server-side-encryption-aws-kms-key-id', kmsKeyArn),
  ];
}

function objectsArn({ prefix, region }: PolicyOptions, bucket: string): string {
  const keys = `${withoutWildcards(prefix)}*`;
  return isArn(bucket) ? `${bucket}/object/${keys}` : `arn:${partitionOf(region)}:s3:::${bucket}/${keys}`;
}

/** In a policy `*`, `?` and `$` mean something; `${*}` is the character itself. */
const withoutWildcards = (prefix: string): string => prefix.replace(/[*?$]/g, (character) => `\${${character}}`);

const rdsDbArn = (options: PolicyOptions, { region, resourceId }: LedgerLogin, user: string): string =>
  `arn:${partitionOf(region)}:rds-db:${region}:${accountOf(options)}:dbuser:${resourceId ?? placeholders.resourceId}/${user}`;

const uploaderArn = (options: PolicyOptions): string =>
  options.uploaderArn ?? `arn:${partitionOf(options.region)}:iam::${accountOf(options)}:role/${placeholders.uploader}`;

const accountOf = ({ account }: PolicyOptions): string => account ?? placeholders.account;

const isArn = (bucket: string): boolean => bucket.startsWith('arn:');

/** China, GovCloud and the European sovereign cloud are partitions of their own, and their ARNs say so. */
export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  if (region.startsWith('us-gov-')) return 'aws-us-gov';
  if (region.startsWith('eusc-')) return 'aws-eusc';
  return 'aws';
}
