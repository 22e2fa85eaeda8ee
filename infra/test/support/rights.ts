import { runSimulation, type Simulation } from '@cloud-copilot/iam-simulate';
import type { Installation, Json } from './installations.ts';
import { resolverOf } from './resolve.ts';

export interface Who {
  readonly arn: string;
  /** Identity policies, functions of CloudFormation resolved. */
  readonly policies: readonly Json[];
}

export interface Call {
  readonly action: string;
  readonly resource: string;
  readonly context?: Readonly<Record<string, string>>;
  /** Bucket or key policy of what is called. */
  readonly resourcePolicy?: Json;
}

/** Whether IAM would allow it. Actions and condition keys that AWS does not know are errors, not refusals. */
export async function isAllowed(account: string, who: Who, call: Call): Promise<boolean> {
  const simulation: Simulation = {
    request: {
      principal: who.arn,
      action: call.action,
      resource: { resource: call.resource, accountId: account },
      contextVariables: {
        'aws:PrincipalArn': roleOf(who.arn),
        'aws:PrincipalAccount': account,
        'aws:SecureTransport': 'true',
        'aws:ViaAWSService': 'false',
        'aws:userid': 'AROAEXAMPLE:person',
        ...call.context,
      },
    },
    identityPolicies: who.policies.map((policy, index) => ({ name: `policy${index}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: call.resourcePolicy,
  };
  const result = await runSimulation(simulation, {});
  if (result.resultType === 'error') throw new Error(`${call.action}: ${JSON.stringify(result.errors)}`);
  return result.overallResult === 'Allowed';
}

/** A session's `aws:PrincipalArn` is its role; here roles of SSO have their usual path. */
function roleOf(arn: string): string {
  const [, account, name] = /^arn:aws:sts::(\d+):assumed-role\/([^/]+)\//.exec(arn) ?? [];
  if (name === undefined) return arn;
  const path = name.startsWith('AWSReservedSSO_') ? 'aws-reserved/sso.amazonaws.com/eu-west-1/' : '';
  return `arn:aws:iam::${account}:role/${path}${name}`;
}

/** The policies of an installation, as they would be in AWS. */
export function policiesOf(made: Installation) {
  const resolve = resolverOf(made);
  const inline = (stack: string, idStart: string) => {
    const found = made.resources('AWS::IAM::Policy').filter((one) => one.stack === stack && one.id.startsWith(idStart));
    return found.map(({ Properties }) => resolve(Properties.PolicyDocument, stack));
  };
  const managed = (stack: string, idStart: string) => {
    const { Properties } = made.the('AWS::IAM::ManagedPolicy', idStart);
    return resolve(Properties.PolicyDocument, stack);
  };
  const bucketPolicy = (idStart: string, stack = 'objects') => {
    const { Properties } = made.the('AWS::S3::BucketPolicy', idStart);
    return resolve(Properties.PolicyDocument, stack);
  };
  const key = made.resources('AWS::KMS::Key').find(({ stack }) => stack === 'objects');
  return {
    uploader: () => inline('uploader', 'Policy').concat(inline('uploader', 'SessionLog')),
    uploaderOfSso: () => managed('uploader', 'Policy'),
    people: (group: string) => managed('permissions', group),
    bucketPolicy,
    keyPolicy: () => resolve(key?.Properties.KeyPolicy, 'objects'),
    keyArn: `arn:aws:kms:${made.settings.region}:${made.settings.account}:key/${key?.id}`,
  };
}
