import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePorts } from '../free-ports.ts';
import type { TestCertificate } from '../tls.ts';

/** The servers of a Ceph cluster, nobody in it yet. `cluster.sh` runs them. */

export interface ClusterOptions {
  /** HTTPS, and HTTPS alone. */
  readonly tls?: TestCertificate;
  /** What the object store holds before it is full; it lives in memory, and takes as much as is in it. */
  readonly storeMiB?: number;
  /** More requests at a time than this are answered 503 SlowDown. */
  readonly maxConcurrentRequests?: number;
}

export type AdminCommand = (...args: string[]) => Promise<string>;

export interface Cluster extends AsyncDisposable {
  readonly url: string;
  readonly adminCommand: AdminCommand;
  restartGateway(): Promise<void>;
}

const run = promisify(execFile);

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), 'dropledger-ceph-'));
  const [monitorPort = 0, gatewayPort = 0] = await freePorts(2);
  const conf = join(directory, 'ceph.conf');
  await writeFile(conf, cephConf(directory, { ...options, monitorPort, gatewayPort }));
  const url = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${gatewayPort}`;
  const script = startScript(directory, url);
  try {
    await script.ready();
  } catch (error) {
    await script.stop();
    throw error;
  }
  return {
    url,
    adminCommand: async (...args) =>
      (await run('radosgw-admin', ['--conf', conf, '--name', 'client.rgw', ...args])).stdout,
    restartGateway: () => script.command('restart-gateway'),
    [Symbol.asyncDispose]: () => script.stop(),
  };
}

/**
 * One copy of everything, no authentication between its servers, all that waits made short. `rgw_s3_auth_order`: with
 * STS asked first, as is its default, every refusal would be STS's AccessDenied, whatever was wrong.
 */
function cephConf(
  directory: string,
  {
    monitorPort,
    gatewayPort,
    tls,
    storeMiB = 4096,
    maxConcurrentRequests = 1024,
  }: ClusterOptions & { monitorPort: number; gatewayPort: number },
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
rgw_max_concurrent_requests = ${maxConcurrentRequests}
rgw_enable_usage_log = false
rgw_sts_key = 0123456789abcdef
rgw_s3_auth_use_sts = true
rgw_s3_auth_order = local, sts
rgw_gc_obj_min_wait = 10
rgw_crypt_require_ssl = false
`;
}

interface Script {
  /** The script said `ready`; rejects with what it wrote to stderr where it ended instead. */
  ready(): Promise<void>;
  command(line: string): Promise<void>;
  /** All its servers are gone, and the directory. */
  stop(): Promise<void>;
}

function startScript(directory: string, url: string): Script {
  const script = fileURLToPath(new URL('cluster.sh', import.meta.url));
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
