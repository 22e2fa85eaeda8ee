import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type InstallationName, installation, installations, type Json } from './support/installations.ts';
import { resolverOf } from './support/resolve.ts';

/** One property a test: what the guide promises, looked up in what CloudFormation is given. */

const names = Object.keys(installations) as InstallationName[];
const properties = (name: InstallationName, type: string, idStart?: string): Json =>
  installation(name).the(type, idStart).Properties;
const all = (type: string) => names.flatMap((name) => installation(name).resources(type));

describe('every bucket', () => {
  test('is closed to the public, owned by its account alone, encrypted and kept', () => {
    const buckets = all('AWS::S3::Bucket');
    assert.ok(buckets.length >= 5 * names.length);
    for (const { id, Properties, DeletionPolicy } of buckets) {
      const closed = ['BlockPublicAcls', 'BlockPublicPolicy', 'IgnorePublicAcls', 'RestrictPublicBuckets'];
      for (const one of closed) assert.equal(Properties.PublicAccessBlockConfiguration[one], true, `${id} ${one}`);
      assert.deepEqual(Properties.OwnershipControls.Rules, [{ ObjectOwnership: 'BucketOwnerEnforced' }], id);
      assert.ok(Properties.BucketEncryption, id);
      assert.equal(DeletionPolicy, 'Retain', id);
    }
  });

  test('refuses whoever comes without TLS', () => {
    for (const { id, Properties } of all('AWS::S3::BucketPolicy')) {
      const deny = Properties.PolicyDocument.Statement.find(
        ({ Condition }: Json) => Condition?.Bool?.['aws:SecureTransport'] === 'false',
      );
      assert.deepEqual([deny?.Effect, deny?.Action, deny?.Principal], ['Deny', 's3:*', { AWS: '*' }], id);
    }
  });
});

describe("the objects' bucket", () => {
  const bucket = () => properties('example', 'AWS::S3::Bucket', 'Objects');

  test('keeps old versions', () => assert.equal(bucket().VersioningConfiguration.Status, 'Enabled'));

  test('encrypts with a key of its own by default, and takes no key of the caller', () => {
    const [rule] = bucket().BucketEncryption.ServerSideEncryptionConfiguration;
    assert.equal(rule.ServerSideEncryptionByDefault.SSEAlgorithm, 'aws:kms');
    assert.equal(rule.BucketKeyEnabled, true);
    assert.deepEqual(rule.BlockedEncryptionTypes, { EncryptionType: ['SSE-C'] });
  });

  test('aborts unfinished multipart uploads after 7 days', () => {
    const rules: Json[] = bucket().LifecycleConfiguration.Rules;
    assert.equal(rules[0].AbortIncompleteMultipartUpload.DaysAfterInitiation, 7);
    assert.equal(rules[0].Status, 'Enabled');
  });

  test('moves objects to cheaper classes with age, where the settings say so', () => {
    const [, rule] = bucket().LifecycleConfiguration.Rules;
    const moves = rule.Transitions.map(({ StorageClass, TransitionInDays }: Json) => [StorageClass, TransitionInDays]);
    assert.deepEqual(moves, [
      ['STANDARD_IA', 90],
      ['GLACIER', 365],
    ]);
    assert.equal(properties('key', 'AWS::S3::Bucket', 'Objects').LifecycleConfiguration.Rules.length, 1);
  });

  test('has an object lock where the settings say so', () => {
    const lockOf = (name: InstallationName) =>
      properties(name, 'AWS::S3::Bucket', 'Objects').ObjectLockConfiguration?.Rule.DefaultRetention;
    assert.deepEqual(lockOf('certificate'), { Mode: 'COMPLIANCE', Days: 30 });
    assert.deepEqual(lockOf('key'), { Mode: 'GOVERNANCE', Days: 7 });
    assert.equal(lockOf('example'), undefined);
  });

  test('has a daily inventory of all versions', () => {
    const [inventory] = bucket().InventoryConfigurations;
    assert.equal(inventory.ScheduleFrequency, 'Daily');
    assert.equal(inventory.IncludedObjectVersions, 'All');
    assert.ok(['Size', 'ETag', 'ChecksumAlgorithm'].every((field) => inventory.OptionalFields.includes(field)));
  });
});

test('every key rotates, and is kept with what it opens', () => {
  for (const { id, Properties, DeletionPolicy } of all('AWS::KMS::Key')) {
    assert.equal(Properties.EnableKeyRotation, true, id);
    assert.equal(DeletionPolicy, 'Retain', id);
  }
});

describe('the ledger', () => {
  const instance = () => properties('example', 'AWS::RDS::DBInstance');
  const cluster = () => properties('certificate', 'AWS::RDS::DBCluster');

  for (const [engine, of] of [
    ['RDS', instance],
    ['Aurora', cluster],
  ] as const) {
    test(`${engine}: logs in by IAM token`, () => assert.equal(of().EnableIAMDatabaseAuthentication, true));
    test(`${engine}: is encrypted with a key of its own`, () => {
      assert.equal(of().StorageEncrypted, true);
      assert.ok(of().KmsKeyId);
    });
    test(`${engine}: is backed up and can't be deleted`, () => {
      assert.equal(of().BackupRetentionPeriod, 14);
      assert.equal(of().DeletionProtection, true);
    });
    test(`${engine}: has its admin's password with RDS, which changes it`, () => {
      assert.equal(of().ManageMasterUserPassword, true);
      assert.equal(of().MasterUserPassword, undefined);
    });
    test(`${engine}: exports its log`, () => assert.ok(of().EnableCloudwatchLogsExports.includes('postgresql')));
  }

  test('takes TLS only, and says each login', () => {
    for (const type of ['AWS::RDS::DBParameterGroup', 'AWS::RDS::DBClusterParameterGroup']) {
      for (const { Properties } of all(type)) {
        assert.equal(Properties.Parameters['rds.force_ssl'], '1');
        assert.equal(Properties.Parameters.log_connections, '1');
      }
    }
    assert.equal(
      all('AWS::RDS::DBParameterGroup').length + all('AWS::RDS::DBClusterParameterGroup').length,
      names.length,
    );
  });

  test('is not on the internet', () => {
    for (const { Properties } of all('AWS::RDS::DBInstance')) assert.notEqual(Properties.PubliclyAccessible, true);
    const subnets = installation('example').resources('AWS::EC2::Subnet');
    for (const { Properties } of subnets) assert.equal(Properties.MapPublicIpOnLaunch, false);
  });

  test("admits 5432 from the daemon's group, and from nowhere else", () => {
    const rules = installation('example')
      .resources('AWS::EC2::SecurityGroupIngress')
      .filter(({ stack }) => stack === 'ledger');
    const [only, ...others] = rules.map(({ Properties }) => Properties);
    assert.deepEqual([only.FromPort, only.ToPort, only.IpProtocol, others], [5432, 5432, 'tcp', []]);
    assert.match(JSON.stringify(only.SourceSecurityGroupId), /UploaderGroup/);
    const group = properties('example', 'AWS::EC2::SecurityGroup', 'Group');
    assert.equal(group.SecurityGroupIngress, undefined);
  });

  test('from outside AWS admits the networks that the settings name', () => {
    const group = properties('key', 'AWS::EC2::SecurityGroup', 'Group');
    assert.deepEqual(
      group.SecurityGroupIngress.map(({ CidrIp, FromPort }: Json) => [CidrIp, FromPort]),
      [['192.0.2.0/24', 5432]],
    );
  });

  test('spans two zones, as RDS by the settings, as Aurora by a second instance', () => {
    assert.equal(instance().MultiAZ, true);
    assert.equal(properties('key', 'AWS::RDS::DBInstance').MultiAZ, false);
    assert.equal(installation('certificate').resources('AWS::RDS::DBInstance').length, 2);
  });

  test('as Aurora scales as the settings say, and sleeps at 0', () => {
    const scaling = ({ ServerlessV2ScalingConfiguration: { MinCapacity, MaxCapacity } }: Json) => [
      MinCapacity,
      MaxCapacity,
    ];
    assert.deepEqual(scaling(cluster()), [0.5, 4]);
    assert.deepEqual(scaling(properties('login', 'AWS::RDS::DBCluster')), [0, 2]);
  });

  test('behind a proxy has tokens all the way, over TLS, and no password', () => {
    for (const name of ['certificate', 'proxy'] as const) {
      const proxy = properties(name, 'AWS::RDS::DBProxy');
      assert.deepEqual([proxy.DefaultAuthScheme, proxy.RequireTLS, proxy.Auth], ['IAM_AUTH', true, undefined]);
    }
    assert.equal(installation('example').resources('AWS::RDS::DBProxy').length, 0);
  });
});

describe('the instance', () => {
  const instance = () => properties('example', 'AWS::EC2::Instance');

  test('gives its credentials by IMDSv2 only, one hop far', () => {
    const { HttpTokens, HttpPutResponseHopLimit } = instance().MetadataOptions;
    assert.deepEqual([HttpTokens, HttpPutResponseHopLimit], ['required', 1]);
  });

  test('has an encrypted disk that outlives it', () => {
    const [{ Ebs }] = instance().BlockDeviceMappings;
    assert.deepEqual([Ebs.Encrypted, Ebs.DeleteOnTermination, Ebs.VolumeSize], [true, false, 100]);
  });

  test("can't be terminated by mistake", () => assert.equal(instance().DisableApiTermination, true));

  test('has no SSH: no key pair, and nothing comes in', () => {
    assert.equal(instance().KeyName, undefined);
    assert.equal(properties('example', 'AWS::EC2::SecurityGroup', 'UploaderGroup').SecurityGroupIngress, undefined);
    const ingress = installation('example')
      .resources('AWS::EC2::SecurityGroupIngress')
      .map(({ Properties }) => Properties);
    assert.ok(ingress.every(({ GroupId }) => !JSON.stringify(GroupId).includes('UploaderGroup')));
  });

  test("has the role, and of AWS's own policies the SSM agent's alone", () => {
    const role = properties('example', 'AWS::IAM::Role', 'Uploader');
    assert.match(JSON.stringify(role.ManagedPolicyArns), /AmazonSSMManagedInstanceCore/);
    assert.equal(role.ManagedPolicyArns.length, 1);
    assert.equal(role.AssumeRolePolicyDocument.Statement[0].Principal.Service, 'ec2.amazonaws.com');
    assert.equal(installation('example').resources('AWS::IAM::InstanceProfile').length, 1);
  });

  test('gives operators a shell that is not root, and keeps what is typed', () => {
    const { inputs } = properties('example', 'AWS::SSM::Document').Content;
    assert.deepEqual([inputs.runAsEnabled, inputs.runAsDefaultUser], [true, 'dropledger-operator']);
    assert.deepEqual(
      [inputs.cloudWatchLogGroupName, inputs.cloudWatchEncryptionEnabled],
      ['/dropledger/sessions', true],
    );
  });
});

describe('the network', () => {
  test('has no way to the internet', () => {
    for (const type of ['AWS::EC2::InternetGateway', 'AWS::EC2::NatGateway', 'AWS::EC2::EIP']) {
      assert.deepEqual(all(type), []);
    }
  });

  test('has doors to S3, STS, SSM, KMS and Logs', () => {
    const resolve = resolverOf(installation('example'));
    const services = installation('example')
      .resources('AWS::EC2::VPCEndpoint')
      .map(({ Properties, stack }) => resolve(Properties.ServiceName, stack).split('.').at(-1));
    assert.deepEqual(services.sort(), ['kms', 'logs', 's3', 'ssm', 'ssmmessages', 'sts']);
  });

  test('adds them to a VPC that is there only where it is told to', () => {
    assert.equal(installation('login').resources('AWS::EC2::VPCEndpoint').length, 6);
    assert.equal(installation('certificate').resources('AWS::EC2::VPCEndpoint').length, 0);
  });

  test('lets through the door of S3 only writing to the one bucket, and system packages', () => {
    const { PolicyDocument } = properties('example', 'AWS::EC2::VPCEndpoint', 'VpcS3');
    const [upload, packages] = PolicyDocument.Statement;
    assert.deepEqual(upload.Action, ['s3:PutObject', 's3:AbortMultipartUpload']);
    assert.equal(upload.Resource, 'arn:aws:s3:::example-inbox-111122223333/in/*');
    assert.deepEqual([packages.Action, PolicyDocument.Statement.length], ['s3:GetObject', 2]);
  });

  test('keeps a log of its traffic', () => {
    assert.equal(properties('example', 'AWS::EC2::FlowLog').TrafficType, 'ALL');
  });
});

describe('outside AWS', () => {
  test("the certificate's role is for the named certificates of the one authority", () => {
    const { Statement } = properties('certificate', 'AWS::IAM::Role', 'Uploader').AssumeRolePolicyDocument;
    const actions = Statement.flatMap(({ Action }: Json) => Action);
    assert.deepEqual(actions.sort(), ['sts:AssumeRole', 'sts:SetSourceIdentity', 'sts:TagSession']);
    for (const { Principal, Condition } of Statement) {
      assert.equal(Principal.Service, 'rolesanywhere.amazonaws.com');
      assert.match(JSON.stringify(Condition.ArnEquals['aws:SourceArn']), /TrustAnchor/);
      assert.deepEqual(Condition.StringEquals['aws:PrincipalTag/x509Subject/CN'], ['files.example.com']);
    }
  });

  test('a template never holds an access key', () => assert.deepEqual(all('AWS::IAM::AccessKey'), []));

  test('the age of keys is watched', () => {
    const rule = properties('key', 'AWS::Config::ConfigRule');
    assert.equal(rule.Source.SourceIdentifier, 'ACCESS_KEYS_ROTATED');
    assert.equal(rule.InputParameters.maxAccessKeyAge, '90');
    assert.equal(installation('key').resources('AWS::Events::Rule').length, 1);
  });
});

describe('access', () => {
  test('each group has a permission set of its own, for the one account, with the session length of the settings', () => {
    const sets = installation('example')
      .resources('AWS::SSO::PermissionSet')
      .map(({ Properties }) => Properties);
    assert.deepEqual(
      sets.map(({ Name, SessionDuration }) => [Name, SessionDuration]),
      [
        ['dropledger-ops', 'PT8H'],
        ['dropledger-readers', 'PT8H'],
        ['dropledger-auditors', 'PT8H'],
      ],
    );
    const targets = installation('example')
      .resources('AWS::SSO::Assignment')
      .map(({ Properties }) => Properties);
    assert.deepEqual(
      targets.map(({ PrincipalType, TargetId }) => [PrincipalType, TargetId]),
      Array(3).fill(['GROUP', '111122223333']),
    );
  });

  test("a permission set has the policy of the same name, which is in the bucket's account", () => {
    for (const name of ['example', 'login'] as const) {
      const policies = installation(name)
        .resources('AWS::IAM::ManagedPolicy')
        .map(({ Properties }) => Properties.ManagedPolicyName);
      for (const { Properties } of installation(name).resources('AWS::SSO::PermissionSet')) {
        assert.ok(Properties.Name.length <= 32);
        assert.deepEqual(Properties.CustomerManagedPolicyReferences, [{ Name: Properties.Name }]);
        assert.ok(policies.includes(Properties.Name), Properties.Name);
        assert.equal(Properties.ManagedPolicies, undefined);
      }
    }
  });

  test('groups come from SCIM, or are made here', () => {
    assert.equal(installation('example').resources('AWS::IdentityStore::Group').length, 0);
    const groups = installation('certificate').resources('AWS::IdentityStore::Group');
    assert.deepEqual(
      groups.map(({ Properties }) => Properties.DisplayName),
      ['files-ops', 'files-readers', 'files-auditors'],
    );
  });

  test('no policy is longer than IAM takes', () => {
    for (const { id, stack, Properties } of installation('example').resources('AWS::IAM::ManagedPolicy')) {
      const text = JSON.stringify(resolverOf(installation('example'))(Properties.PolicyDocument, stack));
      assert.ok(text.length <= 6144, `${id}: ${text.length}`);
    }
  });
});
