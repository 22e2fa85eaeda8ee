import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { trailWatches } from '../src/alarms.ts';
import { trailQueries } from '../src/trail-queries.ts';
import { matches } from './support/filter-pattern.ts';
import { type InstallationName, installation, installations, type Json } from './support/installations.ts';
import { resolverOf } from './support/resolve.ts';

const example = () => installation('example');
const properties = (type: string, idStart?: string): Json => example().the(type, idStart).Properties;

describe('the trail', () => {
  const trail = () => properties('AWS::CloudTrail::Trail');

  test('runs in every region, and proves that its files are unaltered', () => {
    const { IsLogging, IsMultiRegionTrail, EnableLogFileValidation, IncludeGlobalServiceEvents } = trail();
    assert.deepEqual(
      [IsLogging, IsMultiRegionTrail, EnableLogFileValidation, IncludeGlobalServiceEvents],
      Array(4).fill(true),
    );
  });

  test('has every read and every write of an object of the bucket, and all management', () => {
    const [selector] = trail().EventSelectors.slice(-1);
    assert.deepEqual([selector.ReadWriteType, selector.IncludeManagementEvents], ['All', true]);
    const [{ Type, Values }] = selector.DataResources;
    assert.equal(Type, 'AWS::S3::Object');
    assert.deepEqual(resolverOf(example())(Values, 'audit'), ['arn:aws:s3:::example-inbox-111122223333/']);
  });

  test('lies in a bucket of its own, encrypted, where nobody can delete for as long as the settings say', () => {
    const bucket = properties('AWS::S3::Bucket', 'Trail');
    assert.deepEqual(bucket.ObjectLockConfiguration.Rule.DefaultRetention, { Mode: 'GOVERNANCE', Days: 400 });
    assert.equal(
      bucket.BucketEncryption.ServerSideEncryptionConfiguration[0].ServerSideEncryptionByDefault.SSEAlgorithm,
      'aws:kms',
    );
    assert.ok(trail().KMSKeyId);
    const strict = installation('certificate').the('AWS::S3::Bucket', 'Trail').Properties;
    assert.equal(strict.ObjectLockConfiguration.Rule.DefaultRetention.Mode, 'COMPLIANCE');
  });

  test('goes to the log group that the alarms look at', () => assert.ok(trail().CloudWatchLogsLogGroupArn));
});

const role = 'arn:aws:iam::111122223333:role/dropledger-uploader';
const asUploader = {
  type: 'AssumedRole',
  sessionContext: { sessionIssuer: { arn: role, userName: 'dropledger-uploader' } },
};
const asSomeone = {
  type: 'AssumedRole',
  sessionContext: { sessionIssuer: { arn: 'arn:aws:iam::111122223333:role/Admin' } },
};
const onObject = {
  eventSource: 's3.amazonaws.com',
  requestParameters: { bucketName: 'example-inbox-111122223333', key: 'in/a' },
};
const onBucket = { eventSource: 's3.amazonaws.com', requestParameters: { bucketName: 'example-inbox-111122223333' } };

describe('of what happens, alarm is given for', () => {
  const events: readonly (readonly [what: string, event: Json, alarms: readonly string[]])[] = [
    ['an upload: none', { ...onObject, userIdentity: asUploader, eventName: 'PutObject' }, []],
    ['a part of one: none', { ...onObject, userIdentity: asUploader, eventName: 'UploadPart' }, []],
    ['a reader who reads: none', { ...onObject, userIdentity: asSomeone, eventName: 'GetObject' }, []],
    [
      'an upload that is refused',
      { ...onObject, userIdentity: asUploader, eventName: 'PutObject', errorCode: 'AccessDenied' },
      ['uploader-denied'],
    ],
    [
      'KMS refusing the uploader',
      {
        eventSource: 'kms.amazonaws.com',
        userIdentity: asUploader,
        eventName: 'Decrypt',
        errorCode: 'AccessDeniedException',
      },
      ['uploader-denied'],
    ],
    [
      'the uploader reading, which is refused',
      { ...onObject, userIdentity: asUploader, eventName: 'GetObject', errorCode: 'AccessDenied' },
      ['uploader-denied', 'uploader-reads-or-deletes'],
    ],
    [
      'the uploader deleting',
      { ...onObject, userIdentity: asUploader, eventName: 'DeleteObject' },
      ['uploader-reads-or-deletes'],
    ],
    [
      'root at work',
      { userIdentity: { type: 'Root' }, eventType: 'AwsApiCall', eventName: 'CreateUser' },
      ['root-used'],
    ],
    [
      'AWS acting for root: none',
      { userIdentity: { type: 'Root', invokedBy: 'support.amazonaws.com' }, eventType: 'AwsApiCall', eventName: 'Any' },
      [],
    ],
    [
      'an object opened in the console',
      { ...onObject, userIdentity: asSomeone, eventName: 'GetObject', sessionCredentialFromConsole: 'true' },
      ['console-touches-objects'],
    ],
    [
      'an IAM user signing in to the console',
      { userIdentity: { type: 'IAMUser' }, eventName: 'ConsoleLogin', eventType: 'AwsConsoleSignIn' },
      ['user-signs-in-to-console'],
    ],
    [
      'the trail being stopped',
      { eventSource: 'cloudtrail.amazonaws.com', userIdentity: asSomeone, eventName: 'StopLogging' },
      ['trail-changed'],
    ],
    [
      "a key's policy being changed",
      { eventSource: 'kms.amazonaws.com', userIdentity: asSomeone, eventName: 'PutKeyPolicy' },
      ['key-changed'],
    ],
    [
      "the bucket's policy being removed",
      { ...onBucket, userIdentity: asSomeone, eventName: 'DeleteBucketPolicy' },
      ['bucket-rules-changed'],
    ],
    [
      'AmazonS3FullAccess being attached to the uploader',
      {
        eventSource: 'iam.amazonaws.com',
        userIdentity: asSomeone,
        eventName: 'AttachRolePolicy',
        requestParameters: { roleName: 'dropledger-uploader', policyArn: 'arn:aws:iam::aws:policy/AmazonS3FullAccess' },
      },
      ['uploader-rights-changed'],
    ],
    [
      'it being attached to another role: none',
      {
        eventSource: 'iam.amazonaws.com',
        userIdentity: asSomeone,
        eventName: 'AttachRolePolicy',
        requestParameters: { roleName: 'other' },
      },
      [],
    ],
  ];
  for (const [what, event, expected] of events) {
    test(what, () => {
      const given = trailWatches(example().settings).filter(({ pattern }) => matches(pattern, event));
      assert.deepEqual(
        given.map(({ id }) => id),
        expected,
      );
    });
  }

  test('a key, and a login by SSO, as for the role', () => {
    const reading = (name: InstallationName, userIdentity: Json) => {
      const watches = trailWatches(installation(name).settings);
      return watches.some(
        ({ id, pattern }) =>
          id === 'uploader-reads-or-deletes' && matches(pattern, { ...onObject, userIdentity, eventName: 'GetObject' }),
      );
    };
    const user = { type: 'IAMUser', arn: 'arn:aws:iam::111122223333:user/dropledger-uploader' };
    const sso = {
      type: 'AssumedRole',
      sessionContext: { sessionIssuer: { userName: 'AWSReservedSSO_dropledger-uploader_01ab' } },
    };
    assert.deepEqual([reading('key', user), reading('login', sso), reading('key', sso)], [true, true, false]);
  });
});

describe('every alarm', () => {
  test('goes to people at the first event, and is quiet while nothing happens', () => {
    const alarms = example()
      .resources('AWS::CloudWatch::Alarm')
      .map(({ Properties }) => Properties);
    assert.equal(alarms.length, trailWatches(example().settings).length + 1);
    for (const { AlarmActions, Threshold, EvaluationPeriods, TreatMissingData } of alarms) {
      assert.equal(AlarmActions.length, 1);
      assert.deepEqual([Threshold, EvaluationPeriods, TreatMissingData], [1, 1, 'notBreaching']);
    }
    const [subscription] = example()
      .resources('AWS::SNS::Subscription')
      .map(({ Properties }) => Properties);
    assert.deepEqual([subscription.Protocol, subscription.Endpoint], ['email', 'security@example.com']);
  });

  test('has a pattern that CloudWatch takes: at most 1,024 characters', () => {
    for (const name of Object.keys(installations) as InstallationName[]) {
      for (const { Properties } of installation(name).resources('AWS::Logs::MetricFilter')) {
        assert.ok(Properties.FilterPattern.length <= 1024, Properties.FilterPattern);
      }
    }
  });

  test("has a log group that tells it: the ledger's for refused logins, the trail's for the rest", () => {
    const resolve = resolverOf(example());
    const watched = example()
      .resources('AWS::Logs::MetricFilter')
      .map(({ Properties, stack }) => [
        Properties.MetricTransformations[0].MetricName,
        resolve(Properties.LogGroupName, stack),
      ]);
    const ofLedger = watched.filter(([, log]) => log === '/aws/rds/instance/dropledger-ledger/postgresql');
    assert.deepEqual(
      ofLedger.map(([name]) => name),
      ['ledger-login-refused'],
    );
    assert.ok(
      watched.every((one) => ofLedger.includes(one) || one[1] === '/dropledger/trail'),
      String(watched),
    );
  });
});

describe('the questions to the trail', () => {
  test('are prepared statements over columns that the table has', () => {
    const columns: string[] = properties('AWS::Glue::Table').TableInput.StorageDescriptor.Columns.map(
      ({ Name }: Json) => Name,
    );
    for (const [name, { sql }] of Object.entries(trailQueries(example().settings))) {
      assert.ok(['requestid', 'useridentity', 'eventtime'].every((column) => columns.includes(column)));
      assert.match(sql, /^SELECT .* FROM "dropledger_audit"\."cloudtrail" WHERE region = 'eu-west-1' AND /, name);
      assert.ok(sql.includes('day = ?') || sql.includes('day BETWEEN ? AND ?'), `${name} reads every day there is`);
    }
    assert.equal(example().resources('AWS::Athena::PreparedStatement').length, 5);
  });

  test('find their partitions by themselves', () => {
    const { Parameters } = properties('AWS::Glue::Table').TableInput;
    const template = resolverOf(example())(Parameters['storage.location.template'], 'audit');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Athena's own placeholders
    assert.equal(template, 's3://dropledger-trail-111122223333/AWSLogs/111122223333/CloudTrail/${region}/${day}');
    assert.equal(Parameters['projection.region.values'], 'eu-west-1,us-east-1');
  });

  test('cost a bounded amount each, and keep their answers encrypted', () => {
    const configuration = properties('AWS::Athena::WorkGroup').WorkGroupConfiguration;
    assert.equal(configuration.EnforceWorkGroupConfiguration, true);
    assert.equal(configuration.BytesScannedCutoffPerQuery, 100 * 1024 ** 3);
    assert.equal(configuration.ResultConfiguration.EncryptionConfiguration.EncryptionOption, 'SSE_KMS');
  });
});
