import { Stack, type StackProps } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type ISecurityGroup,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { AnyPrincipal, Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { partitionOf } from '../../src/aws/policy.ts';
import { acknowledge } from './acknowledge.ts';
import type { Settings } from './settings.ts';

/** What an instance without a way to the internet talks to, beside S3. */
const services = {
  Sts: InterfaceVpcEndpointAwsService.STS,
  Ssm: InterfaceVpcEndpointAwsService.SSM,
  SsmMessages: InterfaceVpcEndpointAwsService.SSM_MESSAGES,
  Kms: InterfaceVpcEndpointAwsService.KMS,
  Logs: InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
};

export const postgresPort = 5432;

export const namedZones = {
  'CloudFormation-Validate::W3010':
    'The settings name the zones, so that the templates are the same wherever they are made.',
};

export interface NetworkStackProps extends StackProps {
  readonly settings: Settings;
}

/** Private subnets only: no internet gateway, no NAT. */
export class NetworkStack extends Stack {
  readonly vpc: IVpc;
  readonly subnets: SubnetSelection;
  /** Of the daemon's instance, where there is one: whatever may reach the ledger is in it. */
  readonly uploaderGroup: SecurityGroup;
  readonly #availabilityZones: readonly string[];

  constructor(scope: Construct, id: string, { settings, ...props }: NetworkStackProps) {
    super(scope, id, props);
    const { network } = settings;
    this.#availabilityZones = network.availabilityZones;
    acknowledge(this, namedZones);
    if (network.kind === 'new') {
      this.vpc = this.#createVpc(network);
      this.subnets = { subnetType: SubnetType.PRIVATE_ISOLATED };
    } else {
      this.vpc = Vpc.fromVpcAttributes(this, 'Vpc', {
        vpcId: network.vpcId,
        vpcCidrBlock: network.cidr,
        availabilityZones: [...network.availabilityZones],
        isolatedSubnetIds: [...network.subnetIds],
        isolatedSubnetRouteTableIds: [...network.routeTableIds],
      });
      this.subnets = { subnetType: SubnetType.PRIVATE_ISOLATED };
    }
    this.uploaderGroup = new SecurityGroup(this, 'UploaderGroup', {
      vpc: this.vpc,
      description: 'dropledger: the daemon. Nothing comes in',
      allowAllOutbound: false,
    });
    // To S3 through the gateway endpoint, whose addresses are S3's own; the endpoint's policy says which buckets.
    this.uploaderGroup.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'HTTPS: S3 and the interface endpoints');
    this.uploaderGroup.addEgressRule(Peer.ipv4(network.cidr), Port.tcp(postgresPort), 'Postgres: the ledger');
    if (network.kind === 'new' || network.addEndpoints) this.#addEndpoints(settings);
  }

  /** As the settings say: to ask AWS would take credentials, and make the templates depend on its answer. */
  override get availabilityZones(): string[] {
    return [...this.#availabilityZones];
  }

  #createVpc({ cidr, availabilityZones }: { cidr: string; availabilityZones: readonly string[] }): Vpc {
    const flowLog = new LogGroup(this, 'FlowLog', { retention: RetentionDays.ONE_YEAR });
    return new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr(cidr),
      availabilityZones: [...availabilityZones],
      natGateways: 0,
      subnetConfiguration: [{ name: 'private', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 }],
      restrictDefaultSecurityGroup: false, // It takes a Lambda to do; nothing is in that group.
      flowLogs: {
        All: { destination: FlowLogDestination.toCloudWatchLogs(flowLog), trafficType: FlowLogTrafficType.ALL },
      },
    });
  }

  #addEndpoints(settings: Settings): void {
    const s3 = this.vpc.addGatewayEndpoint('S3', { service: GatewayVpcEndpointAwsService.S3, subnets: [this.subnets] });
    for (const statement of s3EndpointPolicy(settings)) s3.addToPolicy(statement);
    const group = this.#endpointGroup();
    for (const [name, service] of Object.entries(services)) {
      this.vpc.addInterfaceEndpoint(name, {
        service,
        subnets: this.subnets,
        securityGroups: [group],
        open: false,
        privateDnsEnabled: true,
      });
    }
  }

  #endpointGroup(): ISecurityGroup {
    const group = new SecurityGroup(this, 'EndpointGroup', {
      vpc: this.vpc,
      description: 'dropledger: interface endpoints',
      allowAllOutbound: false,
    });
    group.addIngressRule(this.uploaderGroup, Port.tcp(443), 'HTTPS from the daemon');
    return group;
  }
}

/** Through this door: writing to the one bucket, and reading what the operating system updates itself from. */
function s3EndpointPolicy(settings: Settings): PolicyStatement[] {
  const { region, account, bucket } = settings;
  const arn = (name: string) => `arn:${partitionOf(region)}:s3:::${name}`;
  return [
    new PolicyStatement({
      sid: 'UploadToOwnBucket',
      effect: Effect.ALLOW,
      principals: [new AnyPrincipal()],
      actions: ['s3:PutObject', 's3:AbortMultipartUpload'],
      resources: [`${arn(bucket.name)}/${bucket.prefix}*`],
      conditions: { StringEquals: { 'aws:PrincipalAccount': account } },
    }),
    new PolicyStatement({
      sid: 'ReadSystemPackages',
      effect: Effect.ALLOW,
      principals: [new AnyPrincipal()],
      actions: ['s3:GetObject'],
      resources: [`${arn(`al2023-repos-${region}-de612dc2`)}/*`, `${arn(`aws-ssm-${region}`)}/*`],
    }),
  ];
}
