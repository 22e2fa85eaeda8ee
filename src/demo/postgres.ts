import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LocalFailure, messageOf } from '../service/errors.ts';
import { canReach, findPostgres, type UnprivilegedUser } from './postgres-binaries.ts';
import { createServer, type Server, surroundings } from './postgres-server.ts';

export interface EmbeddedPostgresOptions {
  /**
   * Where the databases are kept, or are to be made. A private temporary folder where it is undefined, which is gone
   * when the server stops for good, or when this process ends.
   */
  readonly directory?: string | undefined;
  /** Where the temporary folder is made; the system's folder for such where it is undefined. */
  readonly temporaryParent?: string | undefined;
  /** Listen on 127.0.0.1 as well as on the unix socket. */
  readonly tcp?: boolean | undefined;
  /** PEM. TCP connections must then use TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string } | undefined;
}

export interface EmbeddedPostgres extends Server, AsyncDisposable {
  /** The folder of the unix socket; 127.0.0.1 where a socket's path in `directory` would be too long. */
  readonly host: string;
  readonly port: number;
  /** Of 127.0.0.1; undefined where it doesn't listen there. */
  readonly tcpPort: number | undefined;
  /** Every role logs in by password; this one may do anything. */
  readonly superuser: { readonly user: 'postgres'; readonly passwordFile: string };
  readonly directory: string;
}

/** It belongs to nobody: fit for a server that runs beside root's own programs. */
const nobody: UnprivilegedUser = { uid: 65534, gid: 65534 };
/** Bytes of `sun_path`, less the NUL at its end. */
const longestSocketPath = 107;
const unixPort = 5432;

/**
 * A real PostgreSQL for the demo and the tests, that nobody has to install or look after. Speed before safety: it
 * does not wait for the disk. Runs as an unprivileged user where we are root.
 * @throws LocalFailure where there are no binaries, or it can't start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const user = process.getuid?.() === 0 ? nobody : undefined;
  const temporary = options.directory === undefined;
  const directory =
    options.directory === undefined ? temporaryFolder(options, user) : ownFolder(options.directory, user);
  const removeAll = () => temporary && rmSync(directory, { recursive: true, force: true });
  try {
    const bin = findPostgres(join(directory, 'binaries'), user);
    const data = join(directory, 'data');
    const passwordFile = join(directory, 'superuser-password');
    if (!existsSync(data)) await createCluster({ bin, data, passwordFile, user });

    const socket = makeFolder(join(directory, 'socket'), user);
    const fits = Buffer.byteLength(join(socket, `.s.PGSQL.${unixPort}`)) <= longestSocketPath;
    const tcp = options.tcp === true || options.tls !== undefined || !fits;
    const tcpPort = tcp ? await freePort() : undefined;
    const server = createServer({
      bin,
      data,
      user,
      settings: {
        ...haste,
        ...tlsSettings(directory, options.tls, user),
        hba_file: write(join(directory, 'pg_hba.conf'), loginRules(options.tls !== undefined), user),
        unix_socket_directories: fits ? socket : '',
        listen_addresses: tcp ? '127.0.0.1' : '',
        port: tcpPort ?? unixPort,
      },
      removeWhenOrphaned: temporary ? directory : undefined,
    });
    await server.start();
    return {
      ...server,
      host: fits ? socket : '127.0.0.1',
      port: tcpPort ?? unixPort,
      tcpPort,
      superuser: { user: 'postgres', passwordFile },
      directory,
      async [Symbol.asyncDispose]() {
        await server.stop(temporary ? 'immediate' : 'fast');
        removeAll();
      },
    };
  } catch (error) {
    removeAll();
    throw error;
  }
}

const haste = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  shared_buffers: '32MB',
  max_connections: 50,
  logging_collector: 'off',
};

const loginRules = (tls: boolean) =>
  `local all all scram-sha-256\n${tls ? 'hostssl' : 'host'} all all 127.0.0.1/32 scram-sha-256\n`;

interface ClusterPlan {
  readonly bin: string;
  readonly data: string;
  readonly passwordFile: string;
  readonly user: UnprivilegedUser | undefined;
}

/** Made aside and renamed, so that a half-made one is never taken for a whole one. */
async function createCluster({ bin, data, passwordFile, user }: ClusterPlan): Promise<void> {
  const making = `${data}.new`;
  rmSync(making, { recursive: true, force: true });
  makeFolder(making, user);
  write(passwordFile, randomBytes(18).toString('base64url'), user);
  const options = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  try {
    await promisify(execFile)(
      join(bin, 'initdb'),
      ['-D', making, '--no-sync', '--locale=C', '--encoding=UTF8', ...options],
      surroundings(user),
    );
  } catch (cause) {
    throw new LocalFailure(`initdb failed: ${messageOf(cause)}`, { cause });
  }
  renameSync(making, data);
}

/** As root: in the first folder for temporary files that an unprivileged user can reach. */
function temporaryFolder(
  { temporaryParent = tmpdir() }: EmbeddedPostgresOptions,
  user: UnprivilegedUser | undefined,
): string {
  const parent = [temporaryParent, '/tmp', '/var/tmp'].find((folder) => existsSync(folder) && canReach(folder, user));
  if (parent === undefined) throw new LocalFailure('no folder for temporary files that PostgreSQL could use');
  const folder = mkdtempSync(join(realpathSync(parent), 'dropledger-pg-'));
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  return folder;
}

function ownFolder(path: string, user: UnprivilegedUser | undefined): string {
  // Others may pass through it: what is inside is private by itself.
  mkdirSync(path, { recursive: true, mode: user === undefined ? 0o700 : 0o755 });
  const folder = realpathSync(path);
  if (canReach(folder, user)) return folder;
  throw new LocalFailure(`PostgreSQL, which refuses to run as root, can't reach ${folder} as another user`, {
    hint: 'Choose a folder that every user can get to, or run as another user than root.',
  });
}

/** A private folder of that user. */
function makeFolder(path: string, user: UnprivilegedUser | undefined): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  return path;
}

function tlsSettings(directory: string, tls: EmbeddedPostgresOptions['tls'], user: UnprivilegedUser | undefined) {
  if (tls === undefined) return {};
  return {
    ssl: 'on',
    ssl_cert_file: write(join(directory, 'server.crt'), tls.certificate, user),
    ssl_key_file: write(join(directory, 'server.key'), tls.key, user),
  };
}

/** A private file of that user. */
function write(file: string, text: string, user: UnprivilegedUser | undefined): string {
  writeFileSync(file, text, { mode: 0o600 });
  if (user !== undefined) chownSync(file, user.uid, user.gid);
  return file;
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
