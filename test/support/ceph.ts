import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Credentials, sendSigned } from './signed-request.ts';
import type { TestCertificate } from './tls.ts';

/**
 * Ceph's S3 gateway, from Debian's packages radosgw, ceph-mon, ceph-osd and ceph-common, on loopback: a real server
 * that nobody here wrote. `ceph.sh` runs it and takes it down with this process, however that ends.
 */

export interface CephOptions {
  /** HTTPS, and HTTPS alone. */
  readonly tls?: TestCertificate;
  /** What the object store holds before it is full; it lives in memory, and takes as much as is in it. */
  readonly storeMiB?: number;
  /** Keys that the write-only credentials may write begin with this, in every bucket. */
  readonly writeOnlyPrefix?: string;
}

export interface Ceph extends AsyncDisposable {
  readonly url: string;
  readonly region: string;
  /** May create buckets and everything in them. */
  readonly owner: Credentials;
  /** Another user, with rights to nothing of the owner's. */
  readonly writer: Credentials;
  /** s3:PutObject and s3:AbortMultipartUpload under the prefix, and no more (it may list its own buckets: none). */
  readonly writeOnly: Credentials;
  /** The same rights as temporary credentials, from STS AssumeRole; 900 s is the shortest. */
  assumeWriteOnlyRole(durationSeconds?: number): Promise<Required<Credentials>>;
  /**
   * As AWS makes buckets today: the owner may do everything with every object in it, whoever put it. (Left to itself
   * Ceph gives an object to the user who put it.)
   */
  createBucket(name: string): Promise<void>;
  /** Runs `radosgw-admin` and gives what it prints. */
  adminCommand(...args: string[]): Promise<string>;
  /** Kills the gateway (-9) and starts it again. What was stored stays. */
  restartGateway(): Promise<void>;
}

const region = 'us-east-1';
const owner = { accessKeyId: 'OWNERKEY', secretAccessKey: 'ownersecret' };
const writer = { accessKeyId: 'WRITERKEY', secretAccessKey: 'writersecret' };
const writeOnly = { accessKeyId: 'WRITEONLYKEY', secretAccessKey: 'writeonlysecret' };

const programs = ['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin', 'setpriv', 'curl'];

/** What is missing to start it, as a sentence; undefined where nothing is. */
export function cephMissing(): string | undefined {
  const missing = programs.filter((program) => !onPath(program));
  if (missing.length === 0) return undefined;
  return `not on the PATH: ${missing.join(', ')} (Debian: apt-get install radosgw ceph-mon ceph-osd ceph-common)`;
}

export const cephAvailable = (): boolean => cephMissing() === undefined;

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Takes about three seconds. */
export async function startCeph(options: CephOptions = {}): Promise<Ceph> {
  const directory = await mkdtemp(join(tmpdir(), 'dropledger-ceph-'));
  const [monitorPort = 0, gatewayPort = 0] = await freePorts(2);
  await writeFile(join(directory, 'ceph.conf'), cephConf(directory, { ...options, monitorPort, gatewayPort }));
  const url = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${gatewayPort}`;
  const cluster = startScript(directory, url);
  try {
    await cluster.ready();
    const adminCommand = adminOf(directory);
    await createUsers({ url, ca: options.tls?.ca }, adminCommand, options.writeOnlyPrefix ?? '');
    return {
      url,
      region,
      owner,
      writer,
      writeOnly,
      createBucket: (name) => createBucket({ url, ca: options.tls?.ca }, name),
      assumeWriteOnlyRole: (durationSeconds = 3600) => assumeRole({ url, ca: options.tls?.ca }, durationSeconds),
      adminCommand,
      restartGateway: () => cluster.command('restart-gateway'),
      [Symbol.asyncDispose]: () => cluster.stop(),
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** Free at this moment, on loopback. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/**
 * One copy of everything, no authentication between its servers, all that waits made short. `rgw_s3_auth_order`: with
 * STS asked first, as is its default, every refusal would be STS's AccessDenied, whatever was wrong.
 */
function cephConf(
  directory: string,
  { monitorPort, gatewayPort, tls, storeMiB = 4096 }: CephOptions & { monitorPort: number; gatewayPort: number },
): string {
  const frontend =
    tls === undefined
      ? `endpoint=127.0.0.1:${gatewayPort}`
      : `ssl_endpoint=127.0.0.1:${gatewayPort} ssl_certificate=${tls.certFile} ssl_private_key=${tls.keyFile}`;
  return `[global]
fsid = ${randomUUID()}
mon_host = [v2:127.0.0.1:${monitorPort}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_client_mode = crc
ms_cluster_mode = crc
ms_service_mode = crc
ms_mon_service_mode = crc
ms_mon_cluster_mode = crc
run_dir = ${directory}/run
admin_socket = ${directory}/run/$name.asok
pid_file = ${directory}/run/$name.pid
log_file = ${directory}/log/$name.log
crash_dir = ${directory}/log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 2
mon_data_avail_crit = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01

[mon]
mon_data = ${directory}/mon/$name
mon_cluster_log_file = ${directory}/log/cluster.log

[osd]
osd_data = ${directory}/osd
osd_objectstore = memstore
memstore_device_bytes = ${storeMiB * 1024 * 1024}
memstore_page_set = false
osd_class_load_list = *
osd_class_default_list = *
crush_location = root=default host=local

[client.rgw]
rgw_data = ${directory}/rgw
rgw_frontends = beast ${frontend} tcp_nodelay=1
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_sts_key = 0123456789abcdef
rgw_s3_auth_use_sts = true
rgw_s3_auth_order = local, sts
rgw_gc_obj_min_wait = 10
rgw_crypt_require_ssl = false
`;
}

interface ClusterScript {
  /** The script said `ready`; rejects with what it wrote to stderr where it ended instead. */
  ready(): Promise<void>;
  command(line: string): Promise<void>;
  stop(): Promise<void>;
}

function startScript(directory: string, url: string): ClusterScript {
  const script = fileURLToPath(new URL('ceph.sh', import.meta.url));
  // Its own session: a Ctrl-C in the terminal reaches us, and it learns of our end by its stdin.
  const child: ChildProcessWithoutNullStreams = spawn('bash', [script, directory, url], { detached: true });
  const ended = once(child, 'close');
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-4000);
  });
  child.stdin.on('error', () => {}); // it has ended: `ready` tells
  const lines = createInterface(child.stdout);

  async function ready(): Promise<void> {
    const outcome = await Promise.race([once(lines, 'line'), ended.then(() => undefined)]);
    if (outcome?.[0] !== 'ready') throw new Error(`Ceph did not start: ${complaints || 'no reason given'}`);
  }

  return {
    ready,
    async command(line) {
      const answered = ready();
      child.stdin.write(`${line}\n`);
      await answered;
    },
    async stop() {
      child.stdin.end();
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

type AdminCommand = Ceph['adminCommand'];

const run = promisify(execFile);

function adminOf(directory: string): AdminCommand {
  return async (...args) => {
    const { stdout } = await run('radosgw-admin', [
      '--conf',
      join(directory, 'ceph.conf'),
      '-n',
      'client.rgw',
      ...args,
    ]);
    return stdout;
  };
}

interface Address {
  readonly url: string;
  readonly ca: string | undefined;
}

async function createUsers(address: Address, adminCommand: AdminCommand, prefix: string): Promise<void> {
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

async function createBucket({ url, ca }: Address, name: string): Promise<void> {
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

async function assumeRole(address: Address, durationSeconds: number): Promise<Required<Credentials>> {
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
