import { type Credentials, sendSigned } from '../signed-request.ts';
import type { AdminCommand } from './cluster.ts';

/** Who is who in the cluster, and who may do what. */

export const region = 'us-east-1';
export const owner = { accessKeyId: 'OWNERKEY', secretAccessKey: 'ownersecret' };
export const writer = { accessKeyId: 'WRITERKEY', secretAccessKey: 'writersecret' };
export const writeOnly = { accessKeyId: 'WRITEONLYKEY', secretAccessKey: 'writeonlysecret' };

export interface Address {
  readonly url: string;
  /** PEM, with TLS. */
  readonly ca: string | undefined;
}

export async function createUsers(address: Address, adminCommand: AdminCommand, prefix: string): Promise<void> {
  const createUser = (uid: string, { accessKeyId, secretAccessKey }: Credentials, ...more: string[]) =>
    adminCommand(
      ...['user', 'create', `--uid=${uid}`, `--display-name=${uid}`],
      ...[`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`, ...more],
    );
  const createRole = async () => {
    await adminCommand(
      'role',
      'create',
      '--role-name=uploader',
      `--assume-role-policy-doc=${JSON.stringify(trustPolicy)}`,
    );
    const policy = JSON.stringify(policyOf([allowUploads(prefix)]));
    await adminCommand('role-policy', 'put', '--role-name=uploader', '--policy-name=uploads', `--policy-doc=${policy}`);
  };
  await Promise.all([
    createUser('owner', owner, '--caps=user-policy=*;users=*;buckets=*'),
    createUser('writer', writer),
    createUser('write-only', writeOnly, '--max-buckets=-1'),
    createRole(),
  ]);
  // A user may do anything with an object of its own making, unless that is denied by name.
  const policy = policyOf([allowUploads(prefix), denyTheRest]);
  await callApi(address, owner, 'iam', {
    Action: 'PutUserPolicy',
    UserName: 'write-only',
    PolicyName: 'uploads',
    PolicyDocument: JSON.stringify(policy),
  });
}

const policyOf = (statements: readonly object[]) => ({ Version: '2012-10-17', Statement: statements });

const allowUploads = (prefix: string) => ({
  Effect: 'Allow',
  Action: ['s3:PutObject', 's3:AbortMultipartUpload'],
  Resource: `arn:aws:s3:::*/${prefix}*`,
});

const denyTheRest = {
  Effect: 'Deny',
  Action: ['s3:GetObject', 's3:DeleteObject', 's3:ListMultipartUploadParts'],
  Resource: 'arn:aws:s3:::*',
};

const trustPolicy = policyOf([
  { Effect: 'Allow', Principal: { AWS: ['arn:aws:iam:::user/writer'] }, Action: ['sts:AssumeRole'] },
]);

/** The owner's policy on it: everything, with every object, whoever put it. */
export async function createBucket({ url, ca }: Address, name: string): Promise<void> {
  const policy = policyOf([
    {
      Effect: 'Allow',
      Principal: { AWS: ['arn:aws:iam:::user/owner'] },
      Action: ['s3:*'],
      Resource: [`arn:aws:s3:::${name}/*`],
    },
  ]);
  const endpoint = { url, region, credentials: owner, ca };
  const path = `/${name}`;
  const created = await sendSigned(endpoint, { method: 'PUT', path });
  const body = JSON.stringify(policy);
  const opened = await sendSigned(endpoint, { method: 'PUT', path, query: { policy: '' }, body });
  if (created.status !== 200 || opened.status !== 204) throw new Error(`no bucket: ${created.text} ${opened.text}`);
}

export async function assumeRole(address: Address, durationSeconds: number): Promise<Required<Credentials>> {
  const text = await callApi(address, writer, 'sts', {
    Action: 'AssumeRole',
    RoleArn: 'arn:aws:iam:::role/uploader',
    RoleSessionName: 'dropledger',
    DurationSeconds: String(durationSeconds),
  });
  const element = (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1] ?? '';
  return {
    accessKeyId: element('AccessKeyId'),
    secretAccessKey: element('SecretAccessKey'),
    sessionToken: element('SessionToken'),
  };
}

/** A call in the form of AWS's query APIs; the text of its answer. */
async function callApi(
  { url, ca }: Address,
  credentials: Credentials,
  service: string,
  form: Readonly<Record<string, string>>,
): Promise<string> {
  const { status, text } = await sendSigned(
    { url, region, credentials, ca },
    {
      method: 'POST',
      path: '/',
      service,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    },
  );
  if (status !== 200) throw new Error(`${form['Action']} failed: ${status} ${text}`);
  return text;
}
