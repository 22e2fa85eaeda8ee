import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { App } from 'aws-cdk-lib';
import { settings as example } from '../../config.example.ts';
import { createApp, createStacks } from '../../src/app.ts';
import type { Settings } from '../../src/settings.ts';

const identityCenter = {
  account: '444455556666',
  region: 'eu-west-1',
  instanceArn: 'arn:aws:sso:::instance/ssoins-1234567890abcdef',
  sessionHours: 4,
};

const { access: _access, ...withoutAccess } = example;

/** Between them these have every option of the settings once. */
export const installations = {
  /** As the example: an instance in a VPC of its own, RDS in two zones, groups from SCIM. */
  example,
  /** A machine outside AWS with a certificate; an existing VPC; Aurora behind a proxy; an object lock; groups made here. */
  certificate: {
    ...example,
    name: 'files',
    network: {
      ...{
        kind: 'existing',
        vpcId: 'vpc-0123456789abcdef0',
        cidr: '10.0.0.0/16',
        availabilityZones: ['eu-west-1a', 'eu-west-1b'],
      },
      ...{
        subnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
        routeTableIds: ['rtb-0123456789abcdef0', 'rtb-0123456789abcdef1'],
        addEndpoints: false,
      },
    },
    bucket: { ...example.bucket, prefix: '', objectLock: { mode: 'COMPLIANCE', days: 30 } },
    ledger: { ...example.ledger, engine: { kind: 'aurora-serverless', minAcu: 0.5, maxAcu: 4 }, proxy: true },
    uploader: {
      ...{ kind: 'roles-anywhere', commonNames: ['files.example.com'], sourceCidrs: ['192.0.2.0/24'] },
      caCertificatePem: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
    },
    access: { ...identityCenter, groups: { identityStoreId: 'd-1234567890' } },
    audit: { ...example.audit, trailLockMode: 'COMPLIANCE' },
  },
  /** A key, as the last choice; RDS in one zone; overwriting allowed; nobody comes by Identity Center. */
  key: {
    ...withoutAccess,
    bucket: {
      name: 'example-inbox',
      prefix: 'in/',
      conditionalWrites: false,
      objectLock: { mode: 'GOVERNANCE', days: 7 },
    },
    ledger: { ...example.ledger, engine: { kind: 'rds', instanceType: 't4g.micro', storageGiB: 20, multiAz: false } },
    uploader: {
      ...{ kind: 'static-key', publicCidrs: ['198.51.100.7/32'], maxKeyAgeDays: 90, sourceCidrs: ['192.0.2.0/24'] },
    },
  },
  /** A machine on which a person logs in; Aurora that sleeps; an existing VPC without endpoints. */
  login: {
    ...example,
    network: {
      ...{
        kind: 'existing',
        vpcId: 'vpc-0123456789abcdef0',
        cidr: '10.0.0.0/16',
        availabilityZones: ['eu-west-1a', 'eu-west-1b'],
      },
      ...{
        subnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
        routeTableIds: ['rtb-0123456789abcdef0', 'rtb-0123456789abcdef1'],
        addEndpoints: true,
      },
    },
    ledger: { ...example.ledger, engine: { kind: 'aurora-serverless', minAcu: 0, maxAcu: 2 } },
    uploader: {
      ...{ kind: 'sso', groupId: '55555555-5555-4555-8555-555555555555', sessionHours: 12 },
      sourceCidrs: ['192.0.2.0/24'],
    },
  },
  /** The example on RDS behind a proxy, with an image of one's own. */
  proxy: {
    ...example,
    ledger: { ...example.ledger, proxy: true },
    uploader: { kind: 'instance', instanceType: 'm7i.large', volumeGiB: 20, amiId: 'ami-0123456789abcdef0' },
  },
} as const satisfies Record<string, Settings>;

export type InstallationName = keyof typeof installations;

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's templates, as they come
export type Json = any;

export interface Resource {
  readonly id: string;
  readonly stack: string;
  readonly Type: string;
  readonly Properties: Json;
  readonly DeletionPolicy?: string;
}

export interface Installation {
  readonly settings: Settings;
  /** By the name of the stack, without the installation's. */
  readonly templates: Readonly<Record<string, Json>>;
  readonly findings: readonly string[];
  resources(type: string): Resource[];
  /** The only one of its type, or of that id in it. */
  the(type: string, idStart?: string): Resource;
}

const made = new Map<InstallationName, Installation>();

/** Synthesises every stack, with cdk-nag and CDK's own validation of CloudFormation; once for each name. */
export function installation(name: InstallationName): Installation {
  const known = made.get(name);
  if (known !== undefined) return known;
  const settings: Settings = installations[name];
  const { templates, findings } = synthesise((app) => createStacks(app, settings));
  const byStack = Object.entries(templates).map(([stack, template]) => [
    stack.slice(settings.name.length + 1),
    template,
  ]);
  const fresh = toInstallation(settings, Object.fromEntries(byStack), findings);
  made.set(name, fresh);
  return fresh;
}

export interface Synthesised {
  /** By the name of the stack. */
  readonly templates: Readonly<Record<string, Json>>;
  /** What cdk-nag and CDK's own validation of CloudFormation find and nobody has acknowledged: rule and place. */
  readonly findings: readonly string[];
}

export function synthesise(addStacks: (app: App) => void): Synthesised {
  const folder = mkdtempSync(join(tmpdir(), 'dropledger-infra-'));
  try {
    const app = createApp({ outdir: folder });
    addStacks(app);
    try {
      app.synth();
    } catch (error) {
      // It throws for findings, which are in the report; everything else is a defect.
      if (!(error instanceof Error && error.message.startsWith('Validation failed'))) throw error;
    }
    process.exitCode = 0; // Findings set it; the tests say it better.
    const read = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8'));
    const ending = '.template.json';
    const files = readdirSync(folder).filter((file) => file.endsWith(ending));
    return {
      templates: Object.fromEntries(files.map((file) => [file.slice(0, -ending.length), read(file)])),
      findings: findingsIn(read('validation-report.json')),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const findingsIn = ({ pluginReports }: Json): string[] =>
  pluginReports.flatMap(({ violations }: Json) =>
    violations.map(({ ruleName, violatingConstructs: [first] }: Json) => `${ruleName} at ${first.constructPath}`),
  );

function toInstallation(
  settings: Settings,
  templates: Record<string, Json>,
  findings: readonly string[],
): Installation {
  const all: Resource[] = Object.entries(templates).flatMap(([stack, template]) =>
    Object.entries(template.Resources as Record<string, Json>).map(([id, resource]) => ({ id, stack, ...resource })),
  );
  const resources = (type: string) => all.filter(({ Type }) => Type === type);
  return {
    settings,
    templates,
    findings,
    resources,
    the(type, idStart = '') {
      const [only, ...others] = resources(type).filter(({ id }) => id.startsWith(idStart));
      if (only === undefined || others.length > 0) throw new Error(`${1 + others.length} of ${type} ${idStart}`);
      return only;
    },
  };
}
