import { ArnFormat, CfnOutput, RemovalPolicy, Stack, type StackProps, Tags } from 'aws-cdk-lib';
import {
  AmazonLinuxCpuType,
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  HttpTokens,
  type IMachineImage,
  Instance,
  InstanceArchitecture,
  InstanceType,
  MachineImage,
  UserData,
} from 'aws-cdk-lib/aws-ec2';
import {
  Effect,
  ManagedPolicy,
  Policy,
  PolicyDocument,
  PolicyStatement,
  type Role,
  ServicePrincipal,
} from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import { createPolicies } from '../../src/aws/policy.ts';
import { acknowledge, acknowledgeWildcards } from './acknowledge.ts';
import type { IdentityStack } from './identity-stack.ts';
import { type LedgerStack, ledgerUsers } from './ledger-stack.ts';
import { type NetworkStack, namedZones } from './network-stack.ts';
import type { ObjectsStack } from './objects-stack.ts';
import { type InstanceUploader, namesOf, type Settings, uploaderArnOf } from './settings.ts';

export interface UploaderStackProps extends StackProps {
  readonly settings: Settings;
  readonly network: NetworkStack;
  readonly identity: IdentityStack | undefined;
  readonly objects: ObjectsStack;
  readonly ledger: LedgerStack;
}

/** The account on the instance that operators get: it reads the journal, and is not root. */
const operator = 'dropledger-operator'; // `operator` is an old system user without a shell on most Linuxes

/** What the uploader may do, and the instance it runs on where that is ours. */
export class UploaderStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    { settings, network, identity, objects, ledger, ...props }: UploaderStackProps,
  ) {
    super(scope, id, props);
    const document = PolicyDocument.fromJson(iamPolicyFor(settings, objects, ledger));
    const principal = identity?.principal;
    const { uploader } = settings;
    const policy =
      principal === undefined
        ? // Identity Center attaches it to its own role, by this name.
          new ManagedPolicy(this, 'Policy', { managedPolicyName: namesOf(settings).uploader, document })
        : new Policy(this, 'Policy', { policyName: 'uploads', document });
    if (policy instanceof Policy && principal !== undefined) principal.attachInlinePolicy(policy);
    acknowledgeWildcards(policy, settings);
    if (uploader.kind === 'static-key') document.addStatements(onlyFrom(uploader.publicCidrs));
    if (uploader.kind === 'instance') this.#instance(settings, uploader, network, principal as Role);
  }

  #instance(settings: Settings, uploader: InstanceUploader, network: NetworkStack, role: Role): void {
    const type = new InstanceType(uploader.instanceType);
    const instance = new Instance(this, 'Instance', {
      vpc: network.vpc,
      vpcSubnets: network.subnets,
      securityGroup: network.uploaderGroup,
      instanceType: type,
      machineImage: imageOf(uploader, type, settings.region),
      role,
      userData: firstStart(),
      // The metadata service is where the role's credentials come from: version 2, and not through a container or proxy.
      httpTokens: HttpTokens.REQUIRED,
      httpPutResponseHopLimit: 1,
      associatePublicIpAddress: false,
      detailedMonitoring: true,
      disableApiTermination: true,
      propagateTagsToVolumeOnCreation: true,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: BlockDeviceVolume.ebs(uploader.volumeGiB, {
            encrypted: true,
            volumeType: EbsDeviceVolumeType.GP3,
            deleteOnTermination: false, // Files that are not uploaded yet, and the journal.
          }),
        },
      ],
    });
    const { instanceTag } = namesOf(settings);
    acknowledge(instance, {
      ...namedZones,
      'CloudFormation-Validate::W9010': "The settings may name an image: one's own, with dropledger in it.",
    });
    Tags.of(instance).add(instanceTag.key, instanceTag.value);
    this.#sessions(settings, role);
    new CfnOutput(this, 'InstanceId', { description: 'aws ssm start-session --target …', value: instance.instanceId });
  }

  /** A shell by Session Manager, as a user who is not root; what is typed and seen there is kept. */
  #sessions(settings: Settings, role: Role): void {
    const { shellDocument } = namesOf(settings);
    const logGroupName = `/${settings.name}/sessions`;
    const key = new Key(this, 'SessionKey', {
      description: 'dropledger: what was typed and seen in sessions',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    key.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal(`logs.${settings.region}.amazonaws.com`)],
        actions: ['kms:Encrypt', 'kms:Decrypt', 'kms:GenerateDataKey*', 'kms:ReEncrypt*', 'kms:Describe*'],
        resources: ['*'],
        conditions: {
          ArnEquals: {
            'kms:EncryptionContext:aws:logs:arn': this.formatArn({
              service: 'logs',
              resource: 'log-group',
              resourceName: logGroupName,
              arnFormat: ArnFormat.COLON_RESOURCE_NAME,
            }),
          },
        },
      }),
    );
    const log = new LogGroup(this, 'Sessions', {
      logGroupName,
      encryptionKey: key,
      retention: RetentionDays.ONE_YEAR,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    new CfnDocument(this, 'Shell', {
      name: shellDocument,
      documentType: 'Session',
      updateMethod: 'NewVersion',
      content: {
        schemaVersion: '1.0',
        description: `dropledger: a shell as ${operator}`,
        sessionType: 'Standard_Stream',
        inputs: {
          cloudWatchLogGroupName: logGroupName,
          cloudWatchEncryptionEnabled: true,
          cloudWatchStreamingEnabled: true,
          kmsKeyId: '',
          runAsEnabled: true,
          runAsDefaultUser: operator,
          idleSessionTimeout: '20',
          shellProfile: { linux: 'exec bash -l' },
        },
      },
    });
    const sessionLog = new Policy(this, 'SessionLog', {
      policyName: 'session-log',
      roles: [role],
      statements: [
        new PolicyStatement({
          sid: 'KeepSessions',
          actions: ['logs:CreateLogStream', 'logs:PutLogEvents', 'logs:DescribeLogStreams'],
          resources: [log.logGroupArn],
        }),
        new PolicyStatement({ sid: 'FindLogGroup', actions: ['logs:DescribeLogGroups'], resources: ['*'] }),
      ],
    });
    acknowledgeWildcards(sessionLog, settings);
  }
}

function iamPolicyFor(settings: Settings, objects: ObjectsStack, ledger: LedgerStack) {
  return createPolicies({
    bucket: settings.bucket.name,
    prefix: settings.bucket.prefix,
    region: settings.region,
    account: settings.account,
    uploaderArn: uploaderArnOf(settings),
    kmsKeyArn: objects.key.keyArn,
    conditionalWrites: settings.bucket.conditionalWrites,
    ledger: { region: settings.region, resourceId: ledger.resourceId, user: ledgerUsers.writer },
  }).iamPolicy;
}

/** A key that was carried off opens nothing elsewhere. (A login to the ledger comes from inside: it has the network.) */
const onlyFrom = (publicCidrs: readonly string[]): PolicyStatement =>
  new PolicyStatement({
    sid: 'OnlyFromHome',
    effect: Effect.DENY,
    actions: ['s3:*'],
    resources: ['*'],
    conditions: { NotIpAddress: { 'aws:SourceIp': [...publicCidrs] }, Bool: { 'aws:ViaAWSService': 'false' } },
  });

function imageOf({ amiId }: InstanceUploader, type: InstanceType, region: string): IMachineImage {
  if (amiId !== undefined) return MachineImage.genericLinux({ [region]: amiId });
  const isArm = type.architecture === InstanceArchitecture.ARM_64;
  return MachineImage.latestAmazonLinux2023({ cpuType: isArm ? AmazonLinuxCpuType.ARM_64 : AmazonLinuxCpuType.X86_64 });
}

function firstStart(): UserData {
  const userData = UserData.forLinux();
  userData.addCommands(
    '# Operators come in by Session Manager as this user: they read the journal and drop files, and are not root.',
    `id ${operator} || useradd --create-home --groups systemd-journal ${operator}`,
    `if getent group dropledger-drop; then usermod --append --groups dropledger-drop ${operator}; fi`,
  );
  return userData;
}
