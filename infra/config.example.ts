import type { Settings } from './src/settings.ts';

/** Copy this file to `config.ts` and fill in your own. Nothing in it is secret. */
export const settings: Settings = {
  name: 'dropledger',
  account: '111122223333',
  region: 'eu-west-1',

  // A VPC of its own: private subnets, no way to the internet, endpoints to the services that are needed.
  network: { kind: 'new', cidr: '10.40.0.0/20', availabilityZones: ['eu-west-1a', 'eu-west-1b'] },

  bucket: {
    name: 'example-inbox-111122223333',
    prefix: 'in/', // s3.prefix of the daemon
    conditionalWrites: true,
    infrequentAccessAfterDays: 90,
    glacierAfterDays: 365,
    // objectLock: { mode: 'GOVERNANCE', days: 365 },
  },

  ledger: {
    engine: { kind: 'rds', instanceType: 't4g.small', storageGiB: 50, multiAz: true },
    // engine: { kind: 'aurora-serverless', minAcu: 0.5, maxAcu: 4 },
    database: 'ledger',
    backupDays: 14,
    proxy: false,
  },

  uploader: { kind: 'instance', instanceType: 't4g.small', volumeGiB: 100 /* amiId: 'ami-…' */ },
  // Machines outside AWS, the best way first:
  // uploader: { kind: 'roles-anywhere', caCertificatePem: readFileSync('ca.pem', 'utf8'), commonNames: ['files.example.com'], sourceCidrs: ['192.0.2.0/24'] },
  // uploader: { kind: 'sso', groupId: '…', sessionHours: 12, sourceCidrs: ['192.0.2.0/24'] },
  // uploader: { kind: 'static-key', publicCidrs: ['198.51.100.7/32'], maxKeyAgeDays: 90, sourceCidrs: ['192.0.2.0/24'] },

  access: {
    account: '444455556666', // the management account, or the one that Identity Center is delegated to
    region: 'eu-west-1', // where Identity Center was switched on
    instanceArn: 'arn:aws:sso:::instance/ssoins-1234567890abcdef',
    groups: {
      // Brought by SCIM from the identity provider: aws identitystore list-groups --identity-store-id d-…
      operators: '11111111-1111-4111-8111-111111111111',
      ledgerReaders: '22222222-2222-4222-8222-222222222222',
      auditors: '33333333-3333-4333-8333-333333333333',
    },
    sessionHours: 8,
  },

  audit: {
    alarmEmails: ['security@example.com'],
    trailLockDays: 400,
    trailLockMode: 'GOVERNANCE',
  },
};
