/** The way to a server, byte for byte, in any weather. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../src/service/errors.ts';

export type Weather =
  | { readonly kind: 'fair' }
  /** Nobody listens. */
  | { readonly kind: 'refuse' }
  /** Each connection is reset once the client has sent so many bytes on it. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** The server did it, and the client is not told: of so many answers one is lost, with its connection. */
  | { readonly kind: 'lose-answers'; readonly oneIn: number }
  /** Nothing goes through any more, and no socket is closed until the weather changes. */
  | { readonly kind: 'stall'; readonly afterBytes: number; readonly thenReset: boolean }
  /** For each connection, each way. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number; readonly latencyMs: number };

export interface NetworkWeather extends AsyncDisposable {
  /** On 127.0.0.1, always the same. */
  readonly port: number;
  change(weather: Weather): Promise<void>;
}

interface Connection {
  readonly client: Socket;
  readonly upstream: Socket;
  /** Bytes that the client has sent. */
  sent: number;
}

const fair: Weather = { kind: 'fair' };

export async function startNetworkWeather(toPort: number): Promise<NetworkWeather> {
  const connections = new Set<Connection>();
  let weather: Weather = fair;
  let changed = Promise.withResolvers<void>();
  let answers = 0;

  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: toPort, host: '127.0.0.1', noDelay: true });
    const connection = { client, upstream, sent: 0 };
    connections.add(connection);
    for (const socket of [client, upstream]) {
      socket.on('error', () => undefined);
      socket.once('close', () => reset(connection));
    }
    void relay(connection, client, upstream);
    void relay(connection, upstream, client);
  });

  const reset = (connection: Connection): void => {
    connections.delete(connection);
    for (const socket of [connection.client, connection.upstream]) if (!socket.destroyed) socket.resetAndDestroy();
  };

  async function relay(connection: Connection, from: Socket, to: Socket): Promise<void> {
    const isRequest = from === connection.client;
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        if (!(await pass(connection, isRequest, chunk))) return reset(connection);
        if (to.destroyed) return;
        if (!to.write(chunk)) await roomIn(to);
      }
      to.end();
    } catch {
      reset(connection);
    }
  }

  /** Waits as long as the weather has it; false where the connection is to be cut. */
  async function pass(connection: Connection, isRequest: boolean, chunk: Buffer): Promise<boolean> {
    if (isRequest) connection.sent += chunk.length;
    const now = weather;
    switch (now.kind) {
      case 'reset':
        return connection.sent <= now.afterBytes;
      case 'lose-answers':
        if (isRequest) return true;
        answers += 1;
        return answers % now.oneIn !== 0;
      case 'stall':
        if (connection.sent <= now.afterBytes) return true;
        await changed.promise;
        return !now.thenReset;
      case 'slow':
        await Promise.race([
          sleep(now.latencyMs + (chunk.length / now.bytesPerSecond) * 1000, undefined, { ref: false }),
          changed.promise,
        ]);
        return true;
      default:
        return true;
    }
  }

  /** While nobody listened there, the kernel may have lent the port to another program for a moment. */
  const listen = async (port: number): Promise<void> => {
    for (;;) {
      server.listen(port, '127.0.0.1');
      try {
        return void (await once(server, 'listening'));
      } catch (error) {
        if (codeOf(error) !== 'EADDRINUSE') throw error;
        await sleep(100);
      }
    }
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;

  return {
    port,
    async change(next) {
      weather = next;
      changed.resolve();
      changed = Promise.withResolvers();
      if (next.kind === 'refuse' && server.listening) {
        const closed = once(server.close(), 'close');
        for (const connection of connections) reset(connection);
        await closed;
      } else if (next.kind !== 'refuse' && !server.listening) {
        await listen(port);
      }
    },
    async [Symbol.asyncDispose]() {
      const closed = server.listening ? once(server.close(), 'close') : undefined;
      changed.resolve();
      for (const connection of connections) reset(connection);
      await closed;
    },
  };
}

const roomIn = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    const go = () => {
      socket.off('drain', go).off('close', go);
      resolve();
    };
    socket.on('drain', go).on('close', go);
  });
