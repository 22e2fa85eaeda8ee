import { hostname } from 'node:os';
import { createPolicies, partitionOf, placeholders, type StatementName, why } from '../aws/policy.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { rolesScript } from '../ledger/migrate.ts';
import { expandPrefix } from '../s3/object-key.ts';
import { exitCode, UsageError } from '../service/errors.ts';
import { type Command, configOption, type GivenOptions, type Surroundings, textOf } from './command.ts';
import { looksOf, type Paint } from './terminal/output.ts';

export const policy: Command = {
  details: `Prints the IAM policy of the uploader, the policy of the bucket, the statement for the policy of its KMS key, the ARN of
the ledger's login, and the SQL grants. It asks nobody: what stands neither in the configuration nor in an option is a
placeholder in capitals. A \${host} in s3.prefix is this machine's name.`,
  options: {
    ...configOption,
    account: { value: 'NUMBER', describe: 'the AWS account of bucket and ledger, 12 digits' },
    principal: { value: 'ARN', describe: 'the IAM role or user the daemon acts as (else aws.roleArn)' },
    'resource-id': { value: 'ID', describe: "the ledger's resource id: db-…, cluster-… (Aurora) or prx-… (proxy)" },
    'kms-key': { value: 'ARN', describe: "the bucket's KMS key (else s3.sseKmsKeyId, where it is an ARN)" },
    json: { describe: 'print all of it as one JSON object' },
  },

  async run(given: GivenOptions, around: Surroundings): Promise<number> {
    const config = await loadConfig(textOf(given, 'config') ?? configOption.config.default);
    const printed = policiesFor(config, given);
    const { paint } = looksOf(around.stdout, around.env);
    around.stdout.write(given['json'] === true ? `${JSON.stringify(printed, null, 2)}\n` : describe(printed, paint));
    return exitCode.fine;
  },
};

type Printed = ReturnType<typeof policiesFor>;

function policiesFor({ s3, aws, ledger }: Config, given: GivenOptions) {
  const uploaderArn = wellFormed(given, 'principal', iamPrincipal, 'a role or user of IAM') ?? aws.roleArn;
  const kmsKeyArn = wellFormed(given, 'kms-key', kmsKey, 'a KMS key') ?? arnOfKey(s3.sseKmsKeyId);
  const policies = createPolicies({
    bucket: s3.bucket,
    prefix: expandPrefix(s3.prefix, hostname()),
    region: s3.region,
    account:
      wellFormed(given, 'account', /^\d{12}$/, 'an account number of 12 digits') ??
      accountIn(uploaderArn) ??
      s3.expectedBucketOwner,
    uploaderArn,
    kmsKeyArn,
    conditionalWrites: s3.conditionalWrites && s3.onConflict !== 'overwrite',
    ledger:
      ledger.auth === 'iam'
        ? {
            region: ledger.region ?? s3.region,
            resourceId: wellFormed(
              given,
              'resource-id',
              /^(db|cluster|prx)-\w+$/,
              'a resource id: db-…, cluster-…, prx-…',
            ),
            user: ledger.user,
            readerUser: ledger.readerUser,
          }
        : undefined,
  });
  const all = JSON.stringify(policies);
  return {
    ...policies,
    sqlGrants: sqlGrants(ledger.user),
    why: reasonsIn(all),
    placeholders: Object.values(placeholders).filter((word) => new RegExp(`\\b${word}\\b`).test(all)),
    notes: notes({ s3, aws }, kmsKeyArn),
  };
}

const iamPrincipal = /^arn:[\w-]+:iam::\d{12}:(role|user)\/.+$/;
const kmsKey = /^arn:[\w-]+:kms:[\w-]+:\d{12}:key\/.+$/;

function wellFormed(given: GivenOptions, option: string, form: RegExp, what: string): string | undefined {
  const value = textOf(given, option);
  if (value === undefined || form.test(value)) return value;
  const isSession = option === 'principal' && value.includes(':assumed-role/');
  throw new UsageError(`--${option} ${JSON.stringify(value)} is not ${what}`, {
    hint: isSession
      ? "That is a session: give the role's own ARN (aws iam get-role --role-name NAME)."
      : 'dropledger policy --help',
  });
}

const arnOfKey = (key: string | undefined): string | undefined =>
  key !== undefined && kmsKey.test(key) ? key : undefined;

const accountIn = (arn: string | undefined): string | undefined => arn?.split(':')[4] || undefined;

const reasonsIn = (policies: string): Partial<Record<StatementName, string>> =>
  Object.fromEntries(Object.entries(why).filter(([name]) => policies.includes(`"Sid":"${name}"`)));

/** The very script that `migrate` ends with; a writer of another name joins the role that it makes. */
function sqlGrants(user: string): string {
  const roles = rolesScript();
  if (user === 'dropledger_writer') return roles;
  const name = `"${user.replaceAll('"', '""')}"`;
  return `${roles}\n-- ledger.user of this configuration:\nGRANT dropledger_writer TO ${name};\n`;
}

function notes({ s3, aws }: Pick<Config, 's3' | 'aws'>, kmsKeyArn: string | undefined): string[] {
  const all: (string | false)[] = [
    kmsKeyArn === undefined &&
      "If the bucket encrypts with a KMS key of yours (SSE-KMS), name it with --kms-key: the daemon needs that key's rights as well.",
    s3.sseKmsKeyId !== undefined &&
      arnOfKey(s3.sseKmsKeyId) === undefined &&
      's3.sseKmsKeyId is not the ARN of a key: write the ARN there, as policies know keys by nothing else, and the bucket compares what is sent.',
    !(s3.conditionalWrites && s3.onConflict !== 'overwrite') &&
      'This configuration writes without If-None-Match (s3.conditionalWrites, s3.onConflict): the bucket cannot refuse overwriting.',
    s3.bucket.startsWith('arn:') &&
      `s3.bucket is an access point: its bucket must delegate to it, and its policy belongs on ${placeholders.bucket}.`,
    aws.roleArn !== undefined &&
      `The IAM policy belongs on ${aws.roleArn}; the credentials it is assumed with need sts:AssumeRole on it, and no more.`,
    s3.endpoint !== undefined &&
      `s3.endpoint is ${s3.endpoint}: other stores know fewer conditions than AWS; try what they refuse.`,
    partitionOf(s3.region) !== 'aws' &&
      'Outside the partition "aws" compare the kms:ViaService condition with the documentation of that partition.',
  ];
  return all.filter((note) => note !== false);
}

function describe({ sqlGrants: sql, ...printed }: Printed, paint: Paint): string {
  const { iamPolicy, bucketPolicy, keyPolicyStatement, rdsDbArns, notes: remarks } = printed;
  const reasons = (json: string) =>
    Object.entries(reasonsIn(json))
      .map(([name, reason]) => `  ${name}: ${reason}\n`)
      .join('');
  const section = (heading: string, document: object | undefined) => {
    if (document === undefined) return '';
    return `${paint('bold', heading)}\n${reasons(JSON.stringify(document))}${JSON.stringify(document, null, 2)}\n\n`;
  };
  const logins = [rdsDbArns?.writer, rdsDbArns?.reader].filter((arn) => arn !== undefined);
  return [
    printed.placeholders.length === 0
      ? ''
      : `To be replaced, or told by options (see --help): ${printed.placeholders.join(', ')}\n\n`,
    section('IAM policy of the uploader: attach it to the role or user the daemon acts as', iamPolicy),
    section('Bucket policy', bucketPolicy),
    section('Statement for the policy of the KMS key', keyPolicyStatement),
    logins.length === 0
      ? ''
      : `${paint('bold', "Logins to the ledger (rds-db:connect): one database user each, the writer's is in the IAM policy")}\n${logins.map((arn) => `  ${arn}\n`).join('')}\n`,
    `${paint('bold', 'SQL grants: "dropledger migrate" runs these, the writer may insert and nothing else')}\n${sql}`,
    remarks.length === 0 ? '' : `\n${remarks.map((note) => `→ ${note}\n`).join('')}`,
  ].join('');
}
