import { once } from 'node:events';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import type { TestCertificate } from './tls.ts';

export interface NetworkLinkOptions {
  /** The server: a port of 127.0.0.1, or a unix socket. */
  readonly to: number | string;
  /** Speak TLS to the client, with this certificate; plain TCP to the server. */
  readonly certificate?: TestCertificate;
}

/** The way from a client to a server on this machine, byte for byte; a test can cut it, stop it, or make it slow. */
export interface NetworkLink extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** `refuse`: new connections are closed. `silent`: every socket stays open, and nothing goes through any of them. */
  mode: 'pass' | 'refuse' | 'silent';
  /** How long each piece of an answer is on its way. */
  answerDelayMs: number;
  /** Of what the client sends, for each connection by itself; undefined is no limit. */
  bytesPerSecond: number | undefined;
  /** How many there were so far. */
  readonly connections: number;
  /** Breaks every connection there is. */
  cut(): void;
  /** For connections made from now on. */
  showCertificate(certificate: TestCertificate): void;
}

const tickMs = 50;

export async function startNetworkLink({ to, certificate }: NetworkLinkOptions): Promise<NetworkLink> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = certificate === undefined ? createTcpServer() : createTlsServer(certificate);
  server.on('connection', keep);
  server.on(certificate === undefined ? 'connection' : 'secureConnection', attend);

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    if (link.mode === 'refuse') socket.destroy();
  }

  function attend(client: Socket): void {
    if (client.destroyed) return;
    connections += 1;
    const upstream = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
    client.on('error', () => client.destroy());
    keep(upstream);
    client.once('close', () => upstream.destroy());
    upstream.once('close', () => client.destroy());
    void relay(client, upstream, slowly);
    void relay(upstream, client, lately);
  }

  async function* slowly(chunk: Buffer): AsyncGenerator<Buffer> {
    let sent = 0;
    while (sent < chunk.length) {
      const rate = link.bytesPerSecond;
      const piece = chunk.subarray(sent, rate === undefined ? undefined : sent + Math.ceil((rate * tickMs) / 1000));
      if (rate !== undefined) await sleep(tickMs);
      yield piece;
      sent += piece.length;
    }
  }

  async function* lately(chunk: Buffer): AsyncGenerator<Buffer> {
    if (link.answerDelayMs > 0) await sleep(link.answerDelayMs);
    yield chunk;
  }

  async function relay(from: Socket, onto: Socket, pieces: (chunk: Buffer) => AsyncGenerator<Buffer>): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        for await (const piece of pieces(chunk)) {
          while (link.mode === 'silent') await sleep(tickMs);
          if (onto.destroyed) return;
          if (!onto.write(piece)) await once(onto, 'drain');
        }
      }
      onto.end();
    } catch {
      onto.destroy();
    }
  }

  const link: NetworkLink = {
    port: 0,
    mode: 'pass',
    get connections() {
      return connections;
    },
    answerDelayMs: 0,
    bytesPerSecond: undefined,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    showCertificate(next) {
      if ('setSecureContext' in server) server.setSecureContext(next);
    },
    async [Symbol.asyncDispose]() {
      link.mode = 'refuse';
      const closed = once(server.close(), 'close');
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(link, { port: (server.address() as AddressInfo).port });
}
