import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type InstallationName, installation } from './support/installations.ts';
import { type Call, isAllowed, policiesOf, type Who } from './support/rights.ts';

/** What IAM says to whom: the policies as they are synthesised, judged by an evaluator that nobody here wrote. */

const account = '111122223333';
const objects = 'arn:aws:s3:::example-inbox-111122223333';
const underPrefix = `${objects}/in/report.pdf`;
const ifAbsent = { 's3:if-none-match': '*', 's3:ObjectCreationOperation': 'true' };
const ofMultipart = { 's3:ObjectCreationOperation': 'false' };
const throughS3 = { 'kms:ViaService': 's3.eu-west-1.amazonaws.com' };
const session = (role: string) => `arn:aws:sts::${account}:assumed-role/${role}/someone`;
const login = (user: string, id = 'db-LEDGER') => `arn:aws:rds-db:eu-west-1:${account}:dbuser:${id}/${user}`;
const instance = `arn:aws:ec2:eu-west-1:${account}:instance/i-0123456789abcdef0`;
const tagged = { 'ssm:resourceTag/dropledger': 'dropledger', 'ssm:SessionDocumentAccessCheck': 'true' };

/** The managed policy that the users' note attaches, and calls write-only. */
const s3FullAccess = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: ['s3:*', 's3-object-lambda:*'], Resource: '*' }],
};

type Row = readonly [expected: 'allowed' | 'denied', what: string, call: Call];

/** One test a row. What the rows name is synthesised when the first of them runs. */
function table(who: () => Who, rows: readonly Row[]): void {
  for (const [expected, what, call] of rows) {
    test(`${expected}: ${what}`, async () => {
      assert.equal((await isAllowed(account, who(), call)) ? 'allowed' : 'denied', expected);
    });
  }
}

const example = () => policiesOf(installation('example'));
const bucketPolicy = (): unknown => example().bucketPolicy('Objects');
const onBucket = (action: string, resource: string, context = {}): Call => ({
  ...{ action, resource, context },
  get resourcePolicy() {
    return bucketPolicy();
  },
});
const onKey = (action: string, context = {}): Call => ({
  ...{ action, context },
  get resource() {
    return example().keyArn;
  },
  get resourcePolicy() {
    return example().keyPolicy();
  },
});

const uploading: readonly Row[] = [
  ['allowed', 'put a new object under the prefix', onBucket('s3:PutObject', underPrefix, ifAbsent)],
  ['allowed', 'create a multipart upload, and send its parts', onBucket('s3:PutObject', underPrefix, ofMultipart)],
  ['allowed', 'abort a multipart upload', onBucket('s3:AbortMultipartUpload', underPrefix)],
  [
    'allowed',
    "name the bucket's own key",
    onBucket('s3:PutObject', underPrefix, { ...ifAbsent, 's3:x-amz-server-side-encryption': 'aws:kms' }),
  ],
  [
    'denied',
    'put without If-None-Match',
    onBucket('s3:PutObject', underPrefix, { 's3:ObjectCreationOperation': 'true' }),
  ],
  [
    'denied',
    'store under another key',
    onBucket('s3:PutObject', underPrefix, {
      ...ifAbsent,
      's3:x-amz-server-side-encryption-aws-kms-key-id': `arn:aws:kms:eu-west-1:${account}:key/other`,
    }),
  ],
  [
    'denied',
    "store under S3's own key",
    onBucket('s3:PutObject', underPrefix, { ...ifAbsent, 's3:x-amz-server-side-encryption': 'AES256' }),
  ],
  ['denied', 'put without TLS', onBucket('s3:PutObject', underPrefix, { ...ifAbsent, 'aws:SecureTransport': 'false' })],
  ['denied', 'put outside the prefix', onBucket('s3:PutObject', `${objects}/elsewhere.pdf`, ifAbsent)],
  ['denied', 'put under a prefix that only looks alike', onBucket('s3:PutObject', `${objects}/in-other/x`, ifAbsent)],
  ['denied', 'read an object', onBucket('s3:GetObject', underPrefix)],
  ['denied', 'read an old version', onBucket('s3:GetObjectVersion', underPrefix)],
  ['denied', 'list the bucket', onBucket('s3:ListBucket', objects)],
  ['denied', 'delete an object', onBucket('s3:DeleteObject', underPrefix)],
  ['denied', 'delete a version', onBucket('s3:DeleteObjectVersion', underPrefix)],
  ['denied', 'make an object public', onBucket('s3:PutObjectAcl', underPrefix)],
  ['denied', "change the bucket's policy", onBucket('s3:PutBucketPolicy', objects)],
  ['denied', 'shorten a lock', onBucket('s3:BypassGovernanceRetention', underPrefix)],
];

describe("the instance's role may", () => {
  const who = () => ({ arn: session('dropledger-uploader'), policies: example().uploader() });
  table(who, uploading);
  table(who, [
    [
      'denied',
      'put into another bucket',
      { action: 's3:PutObject', resource: 'arn:aws:s3:::other/in/x', context: ifAbsent },
    ],
    ['denied', 'list buckets', { action: 's3:ListAllMyBuckets', resource: '*' }],
    ['allowed', 'have a data key, through S3', onKey('kms:GenerateDataKey', throughS3)],
    ['allowed', 'decrypt, through S3', onKey('kms:Decrypt', throughS3)],
    ['denied', 'decrypt by itself', onKey('kms:Decrypt', { 'kms:ViaService': 'ec2.eu-west-1.amazonaws.com' })],
    ['denied', "change the key's policy", onKey('kms:PutKeyPolicy')],
    [
      'allowed',
      'log in to the ledger as the writer',
      { action: 'rds-db:connect', resource: login('dropledger_writer') },
    ],
    ['denied', 'log in as the reader', { action: 'rds-db:connect', resource: login('dropledger_reader') }],
    ['denied', 'log in as the admin', { action: 'rds-db:connect', resource: login('ledger_admin') }],
    [
      'denied',
      'log in to another database',
      { action: 'rds-db:connect', resource: login('dropledger_writer', 'db-OTHER') },
    ],
    ['denied', 'make itself a key', { action: 'iam:CreateAccessKey', resource: `arn:aws:iam::${account}:user/any` }],
    ['denied', 'assume a role', { action: 'sts:AssumeRole', resource: `arn:aws:iam::${account}:role/any` }],
  ]);
});

describe('with AmazonS3FullAccess attached to it, the role may still only', () => {
  const who = () => ({ arn: session('dropledger-uploader'), policies: [...example().uploader(), s3FullAccess] });
  table(who, uploading);
});

test('the identity policies alone: AmazonS3FullAccess reads and deletes, the policy that replaces it does not', async () => {
  const arn = session('dropledger-uploader');
  for (const action of ['s3:GetObject', 's3:DeleteObject']) {
    const call = { action, resource: underPrefix };
    assert.equal(await isAllowed(account, { arn, policies: [s3FullAccess] }, call), true);
    assert.equal(await isAllowed(account, { arn, policies: example().uploader() }, call), false);
  }
});

describe('an administrator may', () => {
  const everything = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };
  const who = () => ({ arn: session('Administrator'), policies: [everything] });
  table(who, [
    ['denied', 'overwrite an object', onBucket('s3:PutObject', underPrefix, { 's3:ObjectCreationOperation': 'true' })],
    ['denied', 'do anything without TLS', onBucket('s3:GetObject', underPrefix, { 'aws:SecureTransport': 'false' })],
    ['allowed', 'read an object', onBucket('s3:GetObject', underPrefix)],
  ]);
});

describe('operators may', () => {
  const who = () => ({ arn: session('AWSReservedSSO_dropledger-ops_1'), policies: [example().people('operators')] });
  const shell = `arn:aws:ssm:eu-west-1:${account}:document/dropledger-shell`;
  table(who, [
    ['allowed', 'start a session on the instance', { action: 'ssm:StartSession', resource: instance, context: tagged }],
    ['denied', 'start one on an instance of others', { action: 'ssm:StartSession', resource: instance }],
    ['allowed', 'use the shell that is not root', { action: 'ssm:StartSession', resource: shell }],
    [
      'denied',
      "use AWS's shell, which is root",
      { action: 'ssm:StartSession', resource: `arn:aws:ssm:eu-west-1:${account}:document/SSM-SessionManagerRunShell` },
    ],
    ['denied', 'run commands as root', { action: 'ssm:SendCommand', resource: instance, context: tagged }],
    [
      'allowed',
      'end their own session',
      { action: 'ssm:TerminateSession', resource: `arn:aws:ssm:eu-west-1:${account}:session/AROAEXAMPLE:person-0a1b` },
    ],
    [
      'denied',
      "end someone else's",
      { action: 'ssm:TerminateSession', resource: `arn:aws:ssm:eu-west-1:${account}:session/AROAOTHER:person-0a1b` },
    ],
    ['denied', 'read an object', onBucket('s3:GetObject', underPrefix)],
    ['denied', 'list the bucket', onBucket('s3:ListBucket', objects)],
    ['denied', 'put an object', onBucket('s3:PutObject', underPrefix, ifAbsent)],
    ['denied', 'read the ledger', { action: 'rds-db:connect', resource: login('dropledger_reader') }],
    ['denied', 'write the ledger', { action: 'rds-db:connect', resource: login('dropledger_writer') }],
    [
      'denied',
      'have the password of the admin',
      { action: 'secretsmanager:GetSecretValue', resource: `arn:aws:secretsmanager:eu-west-1:${account}:secret:any` },
    ],
  ]);
});

describe('ledger readers may', () => {
  const who = () => ({
    arn: session('AWSReservedSSO_dropledger-readers_1'),
    policies: [example().people('ledgerReaders')],
  });
  const forwarding = `arn:aws:ssm:eu-west-1:${account}:document/AWS-StartPortForwardingSessionToRemoteHost`;
  table(who, [
    [
      'allowed',
      'log in to the ledger as the reader',
      { action: 'rds-db:connect', resource: login('dropledger_reader') },
    ],
    ['denied', 'log in as the writer', { action: 'rds-db:connect', resource: login('dropledger_writer') }],
    ['allowed', 'read an object', onBucket('s3:GetObject', underPrefix)],
    ['allowed', 'decrypt it, through S3', onKey('kms:Decrypt', throughS3)],
    ['denied', 'read outside the prefix', onBucket('s3:GetObject', `${objects}/elsewhere`)],
    ['allowed', 'list under the prefix', onBucket('s3:ListBucket', objects, { 's3:prefix': 'in/2026/' })],
    ['denied', 'list the whole bucket', onBucket('s3:ListBucket', objects, { 's3:prefix': '' })],
    ['denied', 'put an object', onBucket('s3:PutObject', underPrefix, ifAbsent)],
    ['denied', 'delete an object', onBucket('s3:DeleteObject', underPrefix)],
    ['allowed', 'forward a port to the ledger', { action: 'ssm:StartSession', resource: forwarding }],
    [
      'denied',
      'have a shell',
      { action: 'ssm:StartSession', resource: `arn:aws:ssm:eu-west-1:${account}:document/dropledger-shell` },
    ],
    ['denied', 'read the trail', { action: 's3:GetObject', resource: `arn:aws:s3:::dropledger-trail-${account}/x` }],
  ]);
});

describe('auditors may', () => {
  const who = () => ({
    arn: session('AWSReservedSSO_dropledger-auditors_1'),
    policies: [example().people('auditors')],
  });
  const trail = `arn:aws:s3:::dropledger-trail-${account}`;
  table(who, [
    ['allowed', "read the trail's files", { action: 's3:GetObject', resource: `${trail}/AWSLogs/x` }],
    ['denied', 'delete them', { action: 's3:DeleteObject', resource: `${trail}/AWSLogs/x` }],
    ['denied', 'shorten their lock', { action: 's3:BypassGovernanceRetention', resource: `${trail}/AWSLogs/x` }],
    [
      'denied',
      'stop the trail',
      { action: 'cloudtrail:StopLogging', resource: `arn:aws:cloudtrail:eu-west-1:${account}:trail/dropledger-trail` },
    ],
    [
      'allowed',
      'ask the trail',
      {
        action: 'athena:StartQueryExecution',
        resource: `arn:aws:athena:eu-west-1:${account}:workgroup/dropledger-audit`,
      },
    ],
    ['allowed', 'read the inventory', { action: 's3:GetObject', resource: `${objects}-inventory/inventory/x` }],
    ['allowed', 'read the ledger', { action: 'rds-db:connect', resource: login('dropledger_reader') }],
    ['allowed', "read the bucket's policy", onBucket('s3:GetBucketPolicy', objects)],
    ['denied', 'change it', onBucket('s3:PutBucketPolicy', objects)],
    [
      'allowed',
      "read the uploader's rights",
      { action: 'iam:GetRolePolicy', resource: `arn:aws:iam::${account}:role/dropledger-uploader` },
    ],
    [
      'denied',
      'change them',
      { action: 'iam:PutRolePolicy', resource: `arn:aws:iam::${account}:role/dropledger-uploader` },
    ],
    ['denied', 'read an object', onBucket('s3:GetObject', underPrefix)],
    ['denied', 'put an object', onBucket('s3:PutObject', underPrefix, ifAbsent)],
  ]);
});

describe('outside AWS', () => {
  const of = (name: InstallationName) => policiesOf(installation(name));

  test("the certificate's role writes to a ledger behind a proxy, by the proxy's own id", async () => {
    const who = { arn: session('files-uploader'), policies: of('certificate').uploader() };
    const connect = (id: string) =>
      isAllowed(account, who, { action: 'rds-db:connect', resource: login('dropledger_writer', id) });
    assert.deepEqual([await connect('prx-LEDGER'), await connect('cluster-LEDGER')], [true, false]);
  });

  test('an access key that was carried off writes nothing from elsewhere', async () => {
    const who = { arn: `arn:aws:iam::${account}:user/dropledger-uploader`, policies: of('key').uploader() };
    const put = (address: string) =>
      isAllowed(account, who, {
        action: 's3:PutObject',
        resource: 'arn:aws:s3:::example-inbox/in/x',
        context: { 'aws:SourceIp': address },
        resourcePolicy: of('key').bucketPolicy('Objects'),
      });
    assert.deepEqual([await put('198.51.100.7'), await put('203.0.113.9')], [true, false]);
  });

  test("SSO's role can only write, whatever the rest of its name", async () => {
    const arn = session('AWSReservedSSO_dropledger-uploader_0123456789abcdef');
    const who = { arn, policies: [of('login').uploaderOfSso(), s3FullAccess] };
    const call = (action: string, context = {}) =>
      isAllowed(account, who, {
        action,
        resource: underPrefix,
        context,
        resourcePolicy: of('login').bucketPolicy('Objects'),
      });
    assert.deepEqual([await call('s3:PutObject', ifAbsent), await call('s3:GetObject')], [true, false]);
  });
});
