import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createPolicies, type PolicyOptions, type Statement, why } from '../../../src/aws/policy.ts';
import type { GivenOptions, Surroundings } from '../../../src/cli/command.ts';
import { policy } from '../../../src/cli/policy.ts';
import { UsageError } from '../../../src/service/errors.ts';

const account = '111122223333';
const kmsKeyArn = `arn:aws:kms:eu-west-1:${account}:key/0a1b`;
const uploaderArn = `arn:aws:iam::${account}:role/uploader`;
const options: PolicyOptions = {
  bucket: 'acme-inbox',
  prefix: 'in/',
  region: 'eu-west-1',
  account,
  uploaderArn,
  kmsKeyArn,
  conditionalWrites: true,
  ledger: { region: 'eu-west-1', resourceId: 'db-ABC', user: 'dropledger_writer', readerUser: 'dropledger_reader' },
};

const statement = (statements: readonly Statement[], sid: string) => statements.find(({ Sid }) => Sid === sid);

test('the uploader gets four rights in AWS and a login, on exactly its own resources', () => {
  const granted = createPolicies(options).iamPolicy.Statement.map(({ Effect, Action, Resource }) => [
    Effect,
    Action,
    Resource,
  ]);
  expect(granted).toEqual([
    ['Allow', ['s3:PutObject', 's3:AbortMultipartUpload'], ['arn:aws:s3:::acme-inbox/in/*']],
    ['Allow', ['kms:GenerateDataKey', 'kms:Decrypt'], [kmsKeyArn]],
    ['Allow', ['rds-db:connect'], [`arn:aws:rds-db:eu-west-1:${account}:dbuser:db-ABC/dropledger_writer`]],
  ]);
});

test('the key is used through S3 only, on both sides', () => {
  const { iamPolicy, keyPolicyStatement } = createPolicies(options);
  const throughS3 = { StringEquals: { 'kms:ViaService': 's3.eu-west-1.amazonaws.com' } };
  expect(statement(iamPolicy.Statement, 'EncryptWithBucketKey')?.Condition).toEqual(throughS3);
  expect(keyPolicyStatement).toMatchObject({ Principal: { AWS: uploaderArn }, Condition: throughS3 });
});

test('the bucket refuses writes that could overwrite, where the daemon never sends one', () => {
  const ofBucket = (conditionalWrites: boolean) =>
    statement(createPolicies({ ...options, conditionalWrites }).bucketPolicy.Statement, 'DenyOverwriting');
  expect(ofBucket(true)).toMatchObject({
    Effect: 'Deny',
    Principal: '*',
    Action: ['s3:PutObject'],
    Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
  });
  expect(ofBucket(false)).toBeUndefined();
});

test('a prefix is taken literally, whatever characters it has', () => {
  const { iamPolicy } = createPolicies({ ...options, prefix: 'a*b?c$' });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how IAM writes the character itself
  expect(iamPolicy.Statement[0]?.Resource).toEqual(['arn:aws:s3:::acme-inbox/a${*}b${?}c${$}*']);
});

test('without a prefix, a key or an IAM login there is nothing said about them', () => {
  const { kmsKeyArn: _key, ledger: _ledger, ...rest } = options;
  const { iamPolicy, bucketPolicy, keyPolicyStatement, rdsDbArns } = createPolicies({ ...rest, prefix: '' });
  expect(iamPolicy.Statement.map(({ Sid }) => Sid)).toEqual(['UploadUnderPrefix']);
  expect(bucketPolicy.Statement.map(({ Sid }) => Sid)).toEqual([
    'DenyPlainHttp',
    'DenyOverwriting',
    'DenyUploaderAllElse',
  ]);
  expect([keyPolicyStatement, rdsDbArns]).toEqual([undefined, undefined]);
});

test('an access point is named as IAM names its objects', () => {
  const bucket = `arn:aws:s3:eu-west-1:${account}:accesspoint/drops`;
  expect(createPolicies({ ...options, bucket }).iamPolicy.Statement[0]?.Resource).toEqual([`${bucket}/object/in/*`]);
});

test.each([
  ['cn-north-1', 'arn:aws-cn:s3:::acme-inbox/in/*'],
  ['us-gov-west-1', 'arn:aws-us-gov:s3:::acme-inbox/in/*'],
  ['eusc-de-east-1', 'arn:aws-eusc:s3:::acme-inbox/in/*'],
])('in %s ARNs are of its partition', (region, resource) => {
  expect(createPolicies({ ...options, region }).iamPolicy.Statement[0]?.Resource).toEqual([resource]);
});

const config = {
  dropFolder: { path: '/srv/in', archivePath: '/srv/archive', quarantinePath: '/srv/quarantine' },
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the placeholder itself
  s3: { bucket: 'acme-inbox', prefix: 'in/${host}/', region: 'eu-west-1' },
  ledger: { host: 'ledger.example', database: 'ledger', user: 'dropledger_writer' },
};

/** What the command prints for that configuration. */
async function print(settings: object, given: GivenOptions = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dropledger-policy-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'config.json');
  await writeFile(file, JSON.stringify(settings));
  let printed = '';
  const stdout = { isTTY: false, write: (text: string) => (printed += text) };
  await policy.run({ ...given, config: file }, { env: {}, stdout } as unknown as Surroundings, []);
  return printed;
}

test('it prints every statement with the reason, and names what is still to be filled in', async () => {
  const text = await print(config, { 'kms-key': kmsKeyArn });
  for (const [sid, reason] of Object.entries(why)) expect(text).toContain(`${sid}: ${reason}`);
  expect(text).toContain('To be replaced, or told by options (see --help): ACCOUNT, RESOURCE_ID, UPLOADER');
  expect(text).toContain(`arn:aws:s3:::acme-inbox/in/${hostname()}/*`);
});

test('what an option tells is a placeholder no more', async () => {
  const given = { principal: uploaderArn, 'resource-id': 'cluster-XYZ', 'kms-key': kmsKeyArn, json: true };
  const printed = JSON.parse(await print(config, given));
  expect(printed.placeholders).toEqual([]);
  expect(printed.rdsDbArns.writer).toBe(`arn:aws:rds-db:eu-west-1:${account}:dbuser:cluster-XYZ/dropledger_writer`);
});

test('the SQL is what migrate runs', async () => {
  const roles = readFileSync(new URL('../../../src/ledger/migrations/roles.sql', import.meta.url), 'utf8');
  expect(JSON.parse(await print(config, { json: true })).sqlGrants).toBe(roles);
  const otherUser = { ...config, ledger: { ...config.ledger, user: 'odd"name' } };
  expect(JSON.parse(await print(otherUser, { json: true })).sqlGrants).toContain(
    'GRANT dropledger_writer TO "odd""name";',
  );
});

test.each([
  ['overwriting is configured', { s3: { ...config.s3, onConflict: 'overwrite' } }, 'the bucket cannot refuse'],
  ['the key is an alias', { s3: { ...config.s3, sseKmsKeyId: 'alias/drops' } }, 'is not the ARN of a key'],
  ['no key is known', {}, 'name it with --kms-key'],
  ['a role is assumed', { aws: { roleArn: uploaderArn } }, 'need sts:AssumeRole on it'],
  ['the store is not AWS', { s3: { ...config.s3, endpoint: 'https://s3.example.org' } }, 'fewer conditions than AWS'],
])('it says so where %s', async (_what, change, note) => {
  expect(await print({ ...config, ...change })).toContain(note);
});

test.each([
  ['principal', 'arn:aws:sts::111122223333:assumed-role/uploader/i-1', /give the role's own ARN/],
  ['account', '1234', /--help/],
  ['resource-id', 'my-database', /--help/],
  ['kms-key', 'alias/drops', /--help/],
])('--%s %s is refused', async (option, value, hint) => {
  const error = await print(config, { [option]: value }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as UsageError).hint).toMatch(hint);
});
