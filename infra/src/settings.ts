import { partitionOf } from '../../src/aws/policy.ts';

/** All that differs from one installation to another. `config.example.ts` shows each of them. */

export interface Settings {
  /** Names and tags of everything begin with it. Two installations in one account need two names. */
  readonly name: string;
  readonly account: string;
  readonly region: string;
  readonly network: NewNetwork | ExistingNetwork;
  readonly bucket: BucketSettings;
  readonly ledger: LedgerSettings;
  readonly uploader: InstanceUploader | RolesAnywhereUploader | SsoUploader | KeyUploader;
  /** IAM Identity Center. Absent: groups and permission sets are made elsewhere. */
  readonly access?: AccessSettings;
  readonly audit: AuditSettings;
}

export interface NewNetwork {
  readonly kind: 'new';
  /** Such as `10.40.0.0/20`. */
  readonly cidr: string;
  readonly availabilityZones: readonly [string, string, ...string[]];
}

/** A VPC that is there. Its subnets are private, and it has DNS hostnames and DNS resolution on. */
export interface ExistingNetwork {
  readonly kind: 'existing';
  readonly vpcId: string;
  readonly cidr: string;
  readonly availabilityZones: readonly string[];
  readonly subnetIds: readonly string[];
  readonly routeTableIds: readonly string[];
  /** Whether it lacks endpoints to S3, STS, SSM, KMS and Logs: a second one of a kind clashes with the first one's name. */
  readonly addEndpoints: boolean;
}

export interface BucketSettings {
  readonly name: string;
  /** As `s3.prefix` of the daemon; ends with a slash, or is empty. No `${host}`: several hosts share the policy. */
  readonly prefix: string;
  /** As the daemon's `s3.conditionalWrites` is on and `s3.onConflict` is not "overwrite": the bucket refuses overwriting. */
  readonly conditionalWrites: boolean;
  /** Days after which objects move to cheaper classes; absent: they stay. */
  readonly infrequentAccessAfterDays?: number;
  readonly glacierAfterDays?: number;
  /** Nobody can delete a version before (COMPLIANCE: not even root). Can't be taken back for objects that have it. */
  readonly objectLock?: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number };
}

export interface LedgerSettings {
  readonly engine: RdsInstance | AuroraServerless;
  readonly database: string;
  readonly backupDays: number;
  /** RDS Proxy: for more than some 100 hosts. Logins stay IAM tokens all the way. */
  readonly proxy: boolean;
}

export interface RdsInstance {
  readonly kind: 'rds';
  /** Such as `t4g.small`. */
  readonly instanceType: string;
  readonly storageGiB: number;
  readonly multiAz: boolean;
}

export interface AuroraServerless {
  readonly kind: 'aurora-serverless';
  /** Aurora capacity units; 0 lets it sleep when nobody is connected. */
  readonly minAcu: number;
  readonly maxAcu: number;
}

/** An EC2 instance of ours: the role comes with it, and no key is anywhere. */
export interface InstanceUploader {
  readonly kind: 'instance';
  readonly instanceType: string;
  /** An image with dropledger in it; absent: the latest Amazon Linux 2023. */
  readonly amiId?: string;
  readonly volumeGiB: number;
}

/** A machine outside AWS with a certificate of the organisation's own CA. */
export interface RolesAnywhereUploader {
  readonly kind: 'roles-anywhere';
  readonly caCertificatePem: string;
  /** Common names of the machines' certificates: nobody else gets the role. */
  readonly commonNames: readonly [string, ...string[]];
  /** Where the machines come to the ledger from, over VPN or Direct Connect. */
  readonly sourceCidrs: readonly string[];
}

/** A machine outside AWS on which a person logs in (`aws sso login`): its session ends with theirs. */
export interface SsoUploader {
  readonly kind: 'sso';
  /** Group in Identity Center. */
  readonly groupId: string;
  readonly sessionHours: number;
  readonly sourceCidrs: readonly string[];
}

/** The last choice: a user with an access key. */
export interface KeyUploader {
  readonly kind: 'static-key';
  /** Public addresses that the key works from; none other. */
  readonly publicCidrs: readonly [string, ...string[]];
  readonly maxKeyAgeDays: number;
  readonly sourceCidrs: readonly string[];
}

export interface AccessSettings {
  /** Identity Center lives in the management account, or in the one that it is delegated to, and in one region. */
  readonly account: string;
  readonly region: string;
  /** `arn:aws:sso:::instance/ssoins-…` */
  readonly instanceArn: string;
  /** Ids of groups that SCIM brings from the identity provider; where none does, `identityStoreId` makes them here. */
  readonly groups: { readonly [group in GroupName]: string } | { readonly identityStoreId: string };
  /** How long a login lasts before it is asked for again; 1 to 12. */
  readonly sessionHours: number;
}

export type GroupName = 'operators' | 'ledgerReaders' | 'auditors';

export interface AuditSettings {
  /** Who is told by an alarm. */
  readonly alarmEmails: readonly [string, ...string[]];
  /** Days for which nobody can delete the trail's files. */
  readonly trailLockDays: number;
  readonly trailLockMode: 'GOVERNANCE' | 'COMPLIANCE';
}

/** Names that stand in policies of other stacks and accounts, and so are settled beforehand. */
export function namesOf({ name, bucket, account }: Settings) {
  return {
    uploader: `${name}-uploader`,
    instanceTag: { key: 'dropledger', value: name },
    shellDocument: `${name}-shell`,
    keyAlias: `alias/${name}-objects`,
    ledger: `${name}-ledger`,
    trail: `${name}-trail`,
    workGroup: `${name}-audit`,
    auditDatabase: `${name.replaceAll('-', '_')}_audit`,
    inventoryBucket: `${bucket.name}-inventory`,
    accessLogBucket: `${bucket.name}-access-logs`,
    trailBucket: `${name}-trail-${account}`,
    queryBucket: `${name}-audit-queries-${account}`,
  };
}

/** Of a group's policy and its permission set, which finds the policy by this name. At most 32 characters. */
export const policyNameOf = (group: GroupName, { name }: Settings): string =>
  `${name}-${{ operators: 'ops', ledgerReaders: 'readers', auditors: 'auditors' }[group]}`;

/** The IAM role or user that the daemon acts as. Of SSO's roles only the beginning of the name is known. */
export function uploaderArnOf(settings: Settings): string {
  const { uploader } = namesOf(settings);
  const arn = (resource: string) => `arn:${partitionOf(settings.region)}:iam::${settings.account}:${resource}`;
  switch (settings.uploader.kind) {
    case 'instance':
    case 'roles-anywhere':
      return arn(`role/${uploader}`);
    case 'sso':
      return arn(`role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_${uploader}_*`);
    case 'static-key':
      return arn(`user/${uploader}`);
  }
}

/** What no type can say; every problem at once. */
export function problemsIn({ name, account, bucket, ledger, uploader, access }: Settings): string[] {
  const problems: (string | false)[] = [
    !/^[a-z][a-z0-9-]{1,22}$/.test(name) && 'name: 2 to 23 of a-z, 0-9 and -, a letter first',
    !/^\d{12}$/.test(account) && 'account: 12 digits',
    !/^[a-z0-9][a-z0-9.-]{1,48}[a-z0-9]$/.test(bucket.name) && 'bucket.name: 3 to 50 of a-z, 0-9, . and -',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the placeholder itself
    bucket.prefix.includes('${host}') && 'bucket.prefix: without ${host}, as it would end here for each of them',
    (bucket.infrequentAccessAfterDays ?? 30) < 30 && 'bucket.infrequentAccessAfterDays: S3 takes 30 and more',
    (bucket.glacierAfterDays ?? Infinity) <= (bucket.infrequentAccessAfterDays ?? 0) &&
      'bucket.glacierAfterDays: after infrequentAccessAfterDays',
    ledger.backupDays < 1 && 'ledger.backupDays: at least 1, or a lost ledger stays lost',
    ledger.engine.kind === 'aurora-serverless' &&
      ledger.proxy &&
      ledger.engine.minAcu === 0 &&
      'ledger: a proxy keeps Aurora awake; minAcu 0 and proxy do not go together',
    uploader.kind === 'sso' && access === undefined && 'uploader.kind "sso": needs access (Identity Center)',
    access !== undefined && (access.sessionHours < 1 || access.sessionHours > 12) && 'access.sessionHours: 1 to 12',
  ];
  return problems.filter((problem) => problem !== false);
}
