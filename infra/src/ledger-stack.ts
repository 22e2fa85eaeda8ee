import { CfnOutput, Duration, Fn, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { InstanceType, type ISecurityGroup, Peer, Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import {
  AuroraPostgresEngineVersion,
  CaCertificate,
  ClusterInstance,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
  DatabaseInstance,
  DatabaseInstanceEngine,
  DatabaseProxy,
  DefaultAuthScheme,
  type IEngine,
  ParameterGroup,
  PostgresEngineVersion,
  ProxyTarget,
} from 'aws-cdk-lib/aws-rds';
import type { Construct } from 'constructs';
import { partitionOf } from '../../src/aws/policy.ts';
import { acknowledge } from './acknowledge.ts';
import { type NetworkStack, postgresPort } from './network-stack.ts';
import { type AuroraServerless, namesOf, type RdsInstance, type Settings } from './settings.ts';

export interface LedgerStackProps extends StackProps {
  readonly settings: Settings;
  readonly network: NetworkStack;
}

interface Database {
  readonly resourceId: string;
  readonly endpoint: string;
  readonly target: ProxyTarget;
  readonly passwordOfAdmin: string | undefined;
}

/** The login roles that `dropledger migrate` makes. */
export const ledgerUsers = { writer: 'dropledger_writer', reader: 'dropledger_reader' } as const;

/** Postgres that only TLS and IAM tokens get into; the one password there is belongs to RDS and changes by itself. */
export class LedgerStack extends Stack {
  /** As `rds-db` ARNs name it: `db-…`, `cluster-…`, or `prx-…` behind a proxy. */
  readonly resourceId: string;
  /** `ledger.host` of the daemon. */
  readonly host: string;
  /** Where Postgres tells of refused logins. */
  readonly logGroup: LogGroup;
  readonly #settings: Settings;
  readonly #network: NetworkStack;
  readonly #key: Key;

  constructor(scope: Construct, id: string, { settings, network, ...props }: LedgerStackProps) {
    super(scope, id, props);
    this.#settings = settings;
    this.#network = network;
    this.#key = new Key(this, 'Key', {
      description: 'dropledger: storage and backups of the ledger',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const { engine, proxy } = settings.ledger;
    const kind = engine.kind === 'rds' ? 'instance' : 'cluster';
    // RDS would make the group itself, and keep its lines for ever.
    this.logGroup = new LogGroup(this, 'Log', {
      logGroupName: `/aws/rds/${kind}/${namesOf(settings).ledger}/postgresql`,
      retention: RetentionDays.ONE_YEAR,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const group = this.#securityGroup('Group', 'dropledger: the ledger');
    const door = proxy ? this.#securityGroup('ProxyGroup', 'dropledger: the proxy of the ledger') : group;
    this.#admitUploader(door);
    const database = engine.kind === 'rds' ? this.#instance(engine, group) : this.#cluster(engine, group);
    const front = proxy ? this.#proxy(database, group, door) : database;
    this.resourceId = front.resourceId;
    this.host = front.endpoint;
    this.#tell(database);
  }

  #securityGroup(id: string, description: string): SecurityGroup {
    return new SecurityGroup(this, id, { vpc: this.#network.vpc, description, allowAllOutbound: false });
  }

  /** 5432 from the daemon's own group; from outside AWS, from the networks that are named. Nobody else. */
  #admitUploader(door: SecurityGroup): void {
    const { uploader } = this.#settings;
    const { uploaderGroup } = this.#network;
    door.addIngressRule(uploaderGroup, Port.tcp(postgresPort), 'Postgres from the daemon');
    if (uploader.kind === 'instance') return;
    for (const cidr of uploader.sourceCidrs) {
      door.addIngressRule(Peer.ipv4(cidr), Port.tcp(postgresPort), 'Postgres from a machine outside AWS');
    }
  }

  #instance({ instanceType, storageGiB, multiAz }: RdsInstance, group: ISecurityGroup): Database {
    const { ledger } = this.#settings;
    const engine = DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 });
    const instance = new DatabaseInstance(this, 'Database', {
      ...this.#common(engine, group),
      engine,
      instanceIdentifier: namesOf(this.#settings).ledger,
      instanceType: new InstanceType(instanceType),
      allocatedStorage: storageGiB,
      maxAllocatedStorage: storageGiB * 4,
      multiAz,
      databaseName: ledger.database,
      backupRetention: Duration.days(ledger.backupDays),
      deleteAutomatedBackups: false,
      publiclyAccessible: false,
      autoMinorVersionUpgrade: true,
      caCertificate: CaCertificate.RDS_CA_RSA2048_G1,
      cloudwatchLogsExports: ['postgresql', 'upgrade'],
    });
    instance.node.addDependency(this.logGroup);
    acknowledge(instance, { ...defaultPort, ...(multiAz ? {} : singleZone) });
    return {
      resourceId: instance.instanceResourceId ?? '',
      endpoint: instance.dbInstanceEndpointAddress,
      target: ProxyTarget.fromInstance(instance),
      passwordOfAdmin: instance.secret?.secretArn,
    };
  }

  #cluster({ minAcu, maxAcu }: AuroraServerless, group: ISecurityGroup): Database {
    const { ledger } = this.#settings;
    const engine = DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_17_9 });
    const member = { caCertificate: CaCertificate.RDS_CA_RSA2048_G1, autoMinorVersionUpgrade: true };
    const cluster = new DatabaseCluster(this, 'Database', {
      ...this.#common(engine, group),
      engine,
      clusterIdentifier: namesOf(this.#settings).ledger,
      serverlessV2MinCapacity: minAcu,
      serverlessV2MaxCapacity: maxAcu,
      writer: ClusterInstance.serverlessV2('Writer', member),
      readers: [ClusterInstance.serverlessV2('Standby', { ...member, scaleWithWriter: true })],
      defaultDatabaseName: ledger.database,
      backup: { retention: Duration.days(ledger.backupDays) },
      cloudwatchLogsExports: ['postgresql'],
    });
    cluster.node.addDependency(this.logGroup);
    acknowledge(cluster, defaultPort);
    return {
      resourceId: cluster.clusterResourceIdentifier,
      endpoint: cluster.clusterEndpoint.hostname,
      target: ProxyTarget.fromCluster(cluster),
      passwordOfAdmin: cluster.secret?.secretArn,
    };
  }

  #common(engine: IEngine, group: ISecurityGroup) {
    return {
      vpc: this.#network.vpc,
      vpcSubnets: this.#network.subnets,
      securityGroups: [group],
      port: postgresPort,
      credentials: Credentials.fromUsername('ledger_admin'),
      manageMasterUserPassword: true,
      iamAuthentication: true,
      storageEncrypted: true,
      storageEncryptionKey: this.#key,
      copyTagsToSnapshot: true,
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
      parameterGroup: new ParameterGroup(this, 'Parameters', {
        // `bindTo…` decides whether it is one of instances or of clusters.
        engine: engine as never,
        description: 'dropledger: TLS only, every login logged',
        parameters: {
          'rds.force_ssl': '1',
          'rds.accepted_password_auth_method': 'scram',
          password_encryption: 'scram-sha-256',
          log_connections: '1',
          log_disconnections: '1',
          log_statement: 'ddl',
        },
      }),
    };
  }

  /** The token goes all the way: the proxy logs in as the same user, by a token of its own, and keeps no password. */
  #proxy(database: Database, group: SecurityGroup, door: SecurityGroup): Pick<Database, 'resourceId' | 'endpoint'> {
    const role = new Role(this, 'ProxyRole', { assumedBy: new ServicePrincipal('rds.amazonaws.com') });
    const { account, region } = this.#settings;
    role.addToPolicy(
      new PolicyStatement({
        actions: ['rds-db:connect'],
        resources: Object.values(ledgerUsers).map(
          (user) => `arn:${partitionOf(region)}:rds-db:${region}:${account}:dbuser:${database.resourceId}/${user}`,
        ),
      }),
    );
    group.addIngressRule(door, Port.tcp(postgresPort), 'Postgres from the proxy');
    const proxy = new DatabaseProxy(this, 'Proxy', {
      proxyTarget: database.target,
      vpc: this.#network.vpc,
      vpcSubnets: this.#network.subnets,
      securityGroups: [door],
      role,
      defaultAuthScheme: DefaultAuthScheme.IAM_AUTH,
      requireTLS: true,
    });
    // arn:aws:rds:REGION:ACCOUNT:db-proxy:prx-…
    return { resourceId: Fn.select(6, Fn.split(':', proxy.dbProxyArn)), endpoint: proxy.endpoint };
  }

  #tell({ endpoint, passwordOfAdmin }: Database): void {
    new CfnOutput(this, 'Host', { description: 'ledger.host', value: this.host });
    new CfnOutput(this, 'ResourceId', { description: 'dropledger policy --resource-id', value: this.resourceId });
    new CfnOutput(this, 'AdminHost', { description: 'For dropledger migrate', value: endpoint });
    if (passwordOfAdmin !== undefined) {
      new CfnOutput(this, 'AdminSecret', {
        description: "The admin's password, for migrate alone",
        value: passwordOfAdmin,
      });
    }
  }
}

const defaultPort = {
  'AwsSolutions-RDS11':
    'Port 5432 is admitted from one security group, on private subnets, by IAM token over TLS: another number would hide nothing.',
};

const singleZone = {
  'AwsSolutions-RDS3':
    "Chosen in the settings: with the ledger down uploads go on, and their rows wait in the daemon's journal.",
};
