import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePorts } from './free-ports.ts';
import { type Credentials, sendSigned } from './signed-request.ts';

/**
 * OpenStack Swift with its S3 interface (s3api), from Debian's packages swift-proxy, swift-account, swift-container and
 * swift-object, and memcached, on loopback: a real server that nobody here wrote. One copy of everything, on one disk.
 */

export interface Swift extends AsyncDisposable {
  readonly url: string;
  readonly region: string;
  /** May do everything in its account. There is no right to put alone: s3api knows Swift's own ACLs. */
  readonly owner: Credentials;
  createBucket(name: string): Promise<void>;
}

const servers = ['account', 'container', 'object', 'proxy'] as const;
type Kind = (typeof servers)[number];
type Ports = Readonly<Record<Kind | 'cache', number>>;

const programOf = (kind: Kind) => `/usr/bin/swift-${kind}-server`;
/** Debian's own Python, whatever stands first on the PATH. */
const python = '/usr/bin/python3';
const memcached = '/usr/bin/memcached';

/** What is missing to start it, as a sentence; undefined where nothing is. */
export function swiftMissing(): string | undefined {
  const needed = [python, memcached, '/etc/swift/swift.conf', ...servers.map(programOf)];
  const missing = needed.filter((file) => !isReadable(file));
  if (missing.length === 0) return undefined;
  const packages = servers.map((kind) => `swift-${kind}`).join(' ');
  return `not there: ${missing.join(', ')} (Debian: apt-get install ${packages} memcached)`;
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

const region = 'us-east-1';
const owner: Credentials = { accessKeyId: 'test:owner', secretAccessKey: 'owner-secret' };

/** Takes about three seconds. The folder must be on a file system with extended attributes. */
export async function startSwift(): Promise<Swift> {
  const directory = await mkdtemp(join(tmpdir(), 'dropledger-swift-'));
  const [account = 0, container = 0, object = 0, proxy = 0, cache = 0] = await freePorts(5);
  const ports = { account, container, object, proxy, cache };
  const processes: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    const ended = processes.filter(({ exitCode }) => exitCode === null).map((process) => once(process, 'exit'));
    for (const process of processes) process.kill('SIGKILL');
    await Promise.all(ended);
    await rm(directory, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${proxy}`;
  try {
    await mkdir(join(directory, 'devices/disk'), { recursive: true });
    await promisify(execFile)(python, ['-c', makeRings, directory, ...[account, container, object].map(String)]);
    processes.push(
      startProcess('cache', directory, `${memcached} -l 127.0.0.1 -p ${cache} -U 0 -u ${userInfo().username}`),
    );
    for (const kind of servers) {
      await writeFile(join(directory, `${kind}.conf`), configurationOf(kind, directory, ports));
      processes.push(startProcess(kind, directory, `${programOf(kind)} ${directory}/${kind}.conf -v`));
    }
    await untilHealthy(ports, processes, directory);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...{ url, region, owner },
    async createBucket(name) {
      const { status, text } = await sendSigned(
        { url, region, credentials: owner, ca: undefined },
        { method: 'PUT', path: `/${name}` },
      );
      if (status !== 200) throw new Error(`no bucket: ${text}`);
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** One replica of everything on the one device. */
const makeRings = `
import sys
from swift.common.ring import RingBuilder
directory, ports = sys.argv[1], sys.argv[2:]
for name, port in zip(('account', 'container', 'object'), ports):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({'region': 1, 'zone': 1, 'weight': 1.0, 'ip': '127.0.0.1', 'port': int(port), 'device': 'disk',
                     'replication_ip': '127.0.0.1', 'replication_port': int(port), 'meta': ''})
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (directory, name))
`;

function configurationOf(kind: Kind, directory: string, ports: Ports): string {
  return `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${ports[kind]}
workers = 0
swift_dir = ${directory}
devices = ${directory}/devices
mount_check = false
disable_fallocate = true
recon_cache_path = ${directory}
log_level = WARNING
log_address = ${directory}/no-syslog

${kind === 'proxy' ? proxyPipeline(ports) : storagePipeline(kind)}`;
}

const storagePipeline = (kind: Kind): string => `[pipeline:main]
pipeline = ${kind}-server

[app:${kind}-server]
use = egg:swift#${kind}
`;

const proxyPipeline = ({ cache }: Ports): string => `[pipeline:main]
pipeline = cache s3api tempauth bulk slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${cache}

[filter:s3api]
use = egg:swift#s3api
location = ${region}

[filter:tempauth]
use = egg:swift#tempauth
user_test_owner = ${owner.secretAccessKey} .admin

[filter:bulk]
use = egg:swift#bulk

[filter:slo]
use = egg:swift#slo
`;

/** The kernel kills it when this process ends, however that was: unless it becomes another user. */
function startProcess(name: string, directory: string, command: string): ChildProcess {
  const line = `exec ${command} >${directory}/${name}.log 2>&1`;
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', line], {
    stdio: 'ignore',
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
  });
}

const patienceMs = 60_000;

/** A proxy that is asked before its storage servers listen counts them as broken for a minute. */
async function untilHealthy(ports: Ports, processes: readonly ChildProcess[], directory: string): Promise<void> {
  const giveUpAt = Date.now() + patienceMs;
  for (const port of Object.values(ports)) {
    while (!(await listens(port))) {
      if (Date.now() > giveUpAt || processes.some(({ exitCode }) => exitCode !== null)) {
        const logs = await Promise.all(servers.map((kind) => readFile(join(directory, `${kind}.log`), 'utf8')));
        throw new Error(`Swift did not start: ${logs.join('\n').slice(-4000)}`);
      }
      await sleep(50);
    }
  }
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
  });
