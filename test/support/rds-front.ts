/**
 * A front for a plain Postgres that lets in as Amazon RDS does with IAM authentication: TLS only, a login token asked
 * for as a cleartext password, its SigV4 signature computed anew. What comes after the login is passed through.
 *
 * Protocol: PostgreSQL manual, "Message Formats". Token: a presigned `GET https://HOST:PORT/?Action=connect&DBUser=…`
 * for the service `rds-db`, without `https://`.
 */
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import pg from 'pg';
import type { LedgerLogin } from './postgres.ts';

export interface RdsFrontOptions {
  /** PEM. */
  readonly certificate: { readonly cert: string; readonly key: string };
  /** The name that clients sign for. */
  readonly host: string;
  readonly region: string;
  /** Whoever signs with these may connect as any user of `logins`. */
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** How the front itself logs in to the Postgres behind it, by user. */
  readonly logins: Readonly<Record<string, LedgerLogin>>;
}

export interface RdsFront extends AsyncDisposable {
  readonly port: number;
  /** Each login: `let in`, or why not. */
  readonly logins: readonly { readonly user: string; readonly answer: string }[];
  /** `refuse`: connections are reset. `silent`: they are taken and never answered. */
  mode: 'serve' | 'refuse' | 'silent';
  /** How far its clock is ahead of ours. */
  clockAheadMs: number;
  dropConnections(): void;
  /** Sockets that are open, those to the Postgres behind it included. */
  openSockets(): number;
}

const sslRequestCode = 80877103;

export async function startRdsFront(options: RdsFrontOptions): Promise<RdsFront> {
  const sockets = new Set<Socket>();
  const logins: { user: string; answer: string }[] = [];
  const server = createServer((socket) => {
    keep(socket);
    if (front.mode === 'refuse') socket.resetAndDestroy();
    if (front.mode === 'serve') attend(socket).catch(() => socket.destroy());
  });

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  }

  async function attend(plain: Socket): Promise<void> {
    const [first] = (await once(plain, 'data')) as [Buffer];
    if (first.readInt32BE(4) !== sslRequestCode) {
      logins.push({ user: startupParameters(first).get('user') ?? '', answer: 'no encryption' });
      return refuse(plain, 'no pg_hba.conf entry for host "127.0.0.1", no encryption');
    }
    plain.write('S');
    const socket = new TLSSocket(plain, { isServer: true, ...options.certificate });
    keep(socket);
    await once(socket, 'secure');

    const startup = startupParameters(await readMessage(socket, 0));
    const user = startup.get('user') ?? '';
    socket.write(message('R', int32(3))); // AuthenticationCleartextPassword
    const token = (await readMessage(socket, 1)).subarray(5, -1).toString();
    const problem = tokenProblem(token, user, options, front);
    logins.push({ user, answer: problem ?? 'let in' });
    if (problem !== undefined) return refuse(socket, `PAM authentication failed for user "${user}"`);

    const behind = await loggedIn(options.logins[user], startup.get('database') ?? '');
    keep(behind);
    socket.write(message('R', int32(0))); // AuthenticationOk
    socket.write(message('Z', Buffer.from('I'))); // ReadyForQuery
    socket.pipe(behind).pipe(socket);
    socket.once('close', () => behind.destroy());
    behind.once('close', () => socket.destroy());
  }

  const front: RdsFront = {
    port: 0,
    logins,
    mode: 'serve',
    clockAheadMs: 0,
    dropConnections() {
      for (const socket of sockets) socket.destroy();
    },
    openSockets: () => sockets.size,
    async [Symbol.asyncDispose]() {
      front.dropConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(front, { port: (server.address() as { port: number }).port });
}

/** Why RDS would not let this token in; undefined where it would. */
function tokenProblem(
  token: string,
  user: string,
  { host, region, credentials }: RdsFrontOptions,
  { port, clockAheadMs }: RdsFront,
): string | undefined {
  const url = new URL(`https://${token}`);
  const query = new Map(url.searchParams);
  const [keyId, date, scopeRegion, service] = (query.get('X-Amz-Credential') ?? '').split('/');
  const time = query.get('X-Amz-Date') ?? '';
  const signedAt = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const ageSeconds = (Date.now() + clockAheadMs - signedAt) / 1000;

  if (url.host !== `${host}:${port}`) return `signed for the host ${url.host}`;
  if (query.get('Action') !== 'connect' || service !== 'rds-db') return 'not a login token';
  if (query.get('DBUser') !== user) return `signed for the user ${query.get('DBUser')}`;
  if (scopeRegion !== region) return `signed for the region ${scopeRegion}`;
  if (keyId !== credentials.accessKeyId) return 'unknown access key';
  if (query.get('X-Amz-Security-Token') !== credentials.sessionToken) return 'wrong session token';
  if (!(ageSeconds < Math.min(Number(query.get('X-Amz-Expires')), 900))) return 'expired';

  const signature = query.get('X-Amz-Signature');
  query.delete('X-Amz-Signature');
  const canonicalQuery = [...query]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const request = ['GET', '/', canonicalQuery, `host:${url.host}`, '', 'host', sha256('')].join('\n');
  const scope = `${date}/${region}/rds-db/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n');
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  return hmac(key, toSign).toString('hex') === signature ? undefined : 'wrong signature';
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** A socket to Postgres on which the login is over. */
async function loggedIn(login: LedgerLogin | undefined, database: string): Promise<Socket> {
  if (login?.passwordFile === undefined) throw new Error('no such user');
  const password = readFileSync(login.passwordFile, 'utf8');
  const client = new pg.Client({ host: login.host, port: login.port, user: login.user, database, password });
  client.on('error', () => {});
  await client.connect();
  const { stream } = client.connection;
  stream.removeAllListeners('data');
  return stream as Socket;
}

/** One message; `typeBytes` is 0 for the first one of a connection, which has no type, and 1 after it. */
async function readMessage(socket: Socket, typeBytes: 0 | 1): Promise<Buffer> {
  const head = await readBytes(socket, typeBytes + 4);
  return Buffer.concat([head, await readBytes(socket, head.readInt32BE(typeBytes) - 4)]);
}

async function readBytes(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(count);
    if (bytes !== null) return bytes;
    await once(socket, 'readable');
  }
}

/** Length, protocol version, then names and values, each with a NUL at its end. */
function startupParameters(startup: Buffer): Map<string, string> {
  const words = startup.toString('utf8', 8).split('\0');
  return new Map(words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1] ?? ''] as const] : [])));
}

function refuse(socket: Socket, text: string): void {
  const fields = ['SFATAL', 'VFATAL', 'C28000', `M${text}`].map((field) => `${field}\0`).join('');
  socket.end(message('E', Buffer.from(`${fields}\0`)));
}

const message = (type: string, body: Buffer) => Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
