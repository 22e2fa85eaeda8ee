import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { partitionOf } from '../../src/aws/policy.ts';
import { ledgerUsers } from './ledger-stack.ts';
import { type GroupName, namesOf, type Settings } from './settings.ts';

/** What the policies of people name that is known only once it is there. */
export interface Places {
  /** `db-…`, `cluster-…` or `prx-…`. */
  readonly ledgerResourceId: string;
  readonly objectKeyArn: string;
  readonly auditKeyArn: string;
  readonly ledgerLogArn: string;
}

/** What each group may do: three jobs, with as little in common as they have. */
export function permissionsOf(group: GroupName, settings: Settings, places: Places): PolicyStatement[] {
  const arns = createArns(settings);
  switch (group) {
    case 'operators':
      return operators(arns);
    case 'ledgerReaders':
      return [...readLedger(arns, settings, places), ...readObjects(arns, settings, places)];
    case 'auditors':
      return [...readLedger(arns, settings, places), ...readTrail(arns, settings, places), ...readRules(arns, places)];
  }
}

type Arns = ReturnType<typeof createArns>;

function createArns(settings: Settings) {
  const { region, account, bucket } = settings;
  const names = namesOf(settings);
  const partition = partitionOf(region);
  const here = (service: string, resource: string) => `arn:${partition}:${service}:${region}:${account}:${resource}`;
  const s3 = (name: string) => `arn:${partition}:s3:::${name}`;
  return {
    instances: here('ec2', 'instance/*'),
    instanceTag: names.instanceTag,
    shell: here('ssm', `document/${names.shellDocument}`),
    // AWS's own document: with no account in its ARN, or with the caller's.
    portForwarding: `arn:${partition}:ssm:${region}:*:document/AWS-StartPortForwardingSessionToRemoteHost`,
    ownSessions: here('ssm', `session/\${aws:userid}-*`),
    login: (resourceId: string) => here('rds-db', `dbuser:${resourceId}/${ledgerUsers.reader}`),
    bucket: s3(bucket.name),
    underPrefix: `${s3(bucket.name)}/${bucket.prefix}*`,
    evidence: [s3(names.trailBucket), s3(names.inventoryBucket), s3(names.accessLogBucket)],
    queries: s3(names.queryBucket),
    workGroup: here('athena', `workgroup/${names.workGroup}`),
    catalog: [
      here('glue', 'catalog'),
      here('glue', `database/${names.auditDatabase}`),
      here('glue', `table/${names.auditDatabase}/*`),
    ],
    logs: (name: string) => here('logs', `log-group:/${name}/*`),
    uploader: [
      `arn:${partition}:iam::${account}:role/${names.uploader}`,
      `arn:${partition}:iam::${account}:user/${names.uploader}`,
    ],
  };
}

const allow = (sid: string, actions: string[], resources: string[], conditions?: Record<string, unknown>) =>
  new PolicyStatement({ sid, effect: Effect.ALLOW, actions, resources, ...(conditions && { conditions }) });

/** A session needs both, the instance and the document that says what kind of session it is. */
const sessions = (sid: string, { instances, instanceTag }: Arns, document: string) => [
  allow(`${sid}OnInstance`, ['ssm:StartSession'], [instances], {
    StringEquals: { [`ssm:resourceTag/${instanceTag.key}`]: instanceTag.value },
    BoolIfExists: { 'ssm:SessionDocumentAccessCheck': 'true' },
  }),
  allow(`${sid}OfThisKind`, ['ssm:StartSession'], [document]),
];

const ownSessions = ({ ownSessions: own }: Arns) =>
  allow('OwnSessions', ['ssm:TerminateSession', 'ssm:ResumeSession'], [own]);

/** A shell on the instance, whose journal is there to read. Nothing in S3, nothing in the ledger. */
const operators = (arns: Arns): PolicyStatement[] => [
  ...sessions('Shell', arns, arns.shell),
  ownSessions(arns),
  allow(
    'FindInstance',
    [
      'ec2:DescribeInstances',
      'ssm:DescribeInstanceInformation',
      'ssm:DescribeSessions',
      'ssm:GetConnectionStatus',
      'cloudwatch:DescribeAlarms',
    ],
    ['*'],
  ),
];

function readLedger(arns: Arns, { uploader }: Settings, { ledgerResourceId }: Places): PolicyStatement[] {
  const login = allow('LogInAsReader', ['rds-db:connect'], [arns.login(ledgerResourceId)]);
  // Without an instance of ours there is nothing to forward through: people reach the ledger over the VPN.
  if (uploader.kind !== 'instance') return [login];
  return [
    login,
    ...sessions('Forwarding', arns, arns.portForwarding),
    ownSessions(arns),
    allow(
      'FindInstance',
      ['ec2:DescribeInstances', 'ssm:DescribeInstanceInformation', 'ssm:GetConnectionStatus'],
      ['*'],
    ),
  ];
}

const readObjects = (
  { bucket, underPrefix }: Arns,
  settings: Settings,
  { objectKeyArn }: Places,
): PolicyStatement[] => [
  allow('ReadObjects', ['s3:GetObject', 's3:GetObjectVersion'], [underPrefix]),
  allow('ListPrefix', ['s3:ListBucket'], [bucket], { StringLike: { 's3:prefix': `${settings.bucket.prefix}*` } }),
  allow('DecryptObjects', ['kms:Decrypt'], [objectKeyArn], throughS3(settings)),
];

const throughS3 = ({ region }: Settings) => ({ StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` } });

const readTrail = (arns: Arns, settings: Settings, { auditKeyArn, ledgerLogArn }: Places): PolicyStatement[] => [
  allow(
    'ReadTrail',
    [
      'cloudtrail:LookupEvents',
      'cloudtrail:DescribeTrails',
      'cloudtrail:GetTrail',
      'cloudtrail:GetTrailStatus',
      'cloudtrail:GetEventSelectors',
      'cloudtrail:ListTrails',
    ],
    ['*'],
  ),
  allow(
    'ReadEvidence',
    ['s3:GetObject', 's3:GetObjectVersion', 's3:GetObjectRetention'],
    arns.evidence.map((arn) => `${arn}/*`),
  ),
  allow('ListEvidence', ['s3:ListBucket', 's3:GetBucketLocation'], [...arns.evidence, arns.queries]),
  allow(
    'KeepAnswers',
    ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'],
    [`${arns.queries}/results/*`],
  ),
  allow('UseAuditKey', ['kms:Decrypt', 'kms:GenerateDataKey'], [auditKeyArn], throughS3(settings)),
  allow(
    'AskTrail',
    [
      'athena:StartQueryExecution',
      'athena:StopQueryExecution',
      'athena:GetQueryExecution',
      'athena:GetQueryResults',
      'athena:ListQueryExecutions',
      'athena:GetWorkGroup',
      'athena:GetPreparedStatement',
      'athena:ListPreparedStatements',
    ],
    [arns.workGroup],
  ),
  allow('ReadCatalog', ['glue:GetDatabase', 'glue:GetTable', 'glue:GetTables', 'glue:GetPartitions'], arns.catalog),
  allow(
    'ReadLogs',
    ['logs:FilterLogEvents', 'logs:GetLogEvents', 'logs:StartQuery'],
    [arns.logs(settings.name), ledgerLogArn],
  ),
  allow('ReadLogAnswers', ['logs:GetQueryResults', 'logs:DescribeLogGroups'], ['*']),
];

/** How everything is set: to look, not to change, and without the content of an object. */
const readRules = (arns: Arns, { objectKeyArn, auditKeyArn }: Places): PolicyStatement[] => [
  allow(
    'ReadBucketRules',
    [
      's3:GetBucketPolicy',
      's3:GetBucketVersioning',
      's3:GetBucketPublicAccessBlock',
      's3:GetEncryptionConfiguration',
      's3:GetLifecycleConfiguration',
      's3:GetBucketObjectLockConfiguration',
      's3:GetBucketLogging',
      's3:GetInventoryConfiguration',
    ],
    [arns.bucket],
  ),
  allow(
    'ReadUploaderRights',
    [
      'iam:GetRole',
      'iam:GetRolePolicy',
      'iam:ListRolePolicies',
      'iam:ListAttachedRolePolicies',
      'iam:GetUserPolicy',
      'iam:ListUserPolicies',
      'iam:ListAttachedUserPolicies',
      'iam:ListAccessKeys',
    ],
    arns.uploader,
  ),
  allow(
    'ReadKeyRules',
    ['kms:DescribeKey', 'kms:GetKeyPolicy', 'kms:GetKeyRotationStatus'],
    [objectKeyArn, auditKeyArn],
  ),
  allow(
    'ReadSettings',
    [
      'rds:DescribeDBInstances',
      'rds:DescribeDBClusters',
      'rds:DescribeDBParameters',
      'rds:DescribeDBClusterParameters',
      'ec2:DescribeSecurityGroups',
      'ec2:DescribeVpcEndpoints',
      'cloudwatch:DescribeAlarms',
    ],
    ['*'],
  ),
];
