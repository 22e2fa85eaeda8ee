import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { EventLog } from '../model.ts';
import { messageOf } from '../service/errors.ts';
import type { ListenAddress } from '../service/listen-address.ts';
import { createRegistry, type RegistryOptions } from './registry.ts';

export interface MetricsServerOptions extends RegistryOptions {
  readonly address: ListenAddress;
  readonly log: EventLog;
}

/** Scrapers come one at a time; connections beyond these are turned away. */
const mostConnections = 32;
const patienceMs = 5000;

interface Reply {
  readonly status: number;
  readonly type?: string;
  readonly body: string;
}

/**
 * `/metrics` for Prometheus; `/healthz`: the process answers; `/readyz`: files are being uploaded. Where it cannot
 * listen it says so once, and the daemon goes on without.
 */
export async function openMetrics(options: MetricsServerOptions): Promise<AsyncDisposable> {
  const { address, log } = options;
  const registry = createRegistry(options);
  const reply = async (path: string): Promise<Reply> => {
    if (path === '/metrics') return { status: 200, type: registry.contentType, body: await registry.text() };
    if (path === '/healthz') return { status: 200, body: 'ok\n' };
    if (path === '/readyz') return readiness(await options.report());
    return { status: 404, body: 'there are /metrics, /healthz and /readyz\n' };
  };
  const server = createServer(
    {
      requestTimeout: patienceMs,
      headersTimeout: patienceMs,
      connectionsCheckingInterval: patienceMs,
      maxHeaderSize: 8192,
    },
    (request, response) => void respond(request, response, reply, log),
  );
  server.maxConnections = mostConnections;
  server.setTimeout(patienceMs * 6, (socket) => socket.destroy());
  const isOpen = await listen(server, address, log);
  return {
    async [Symbol.asyncDispose]() {
      registry.clear();
      server.closeAllConnections();
      if (isOpen) await new Promise((resolve) => server.close(resolve));
    },
  };
}

function readiness({ phase, uploads }: Awaited<ReturnType<RegistryOptions['report']>>): Reply {
  if (phase !== 'running') return { status: 503, body: `${phase}\n` };
  if (uploads.paused !== null) return { status: 503, body: `uploads are paused: ${uploads.paused.reason}\n` };
  return { status: 200, body: 'ready\n' };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  reply: (path: string) => Promise<Reply>,
  log: EventLog,
): Promise<void> {
  const { method = '', url = '' } = request;
  const answer = await answerTo(method, url.split('?')[0] ?? '', reply).catch((error: unknown): Reply => {
    log.debug('metrics could not be collected', { error: messageOf(error) });
    return { status: 500, body: 'the metrics could not be collected\n' };
  });
  const { status, type = 'text/plain; charset=utf-8', body } = answer;
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(method === 'HEAD' ? undefined : body);
}

async function answerTo(method: string, path: string, reply: (path: string) => Promise<Reply>): Promise<Reply> {
  return method === 'GET' || method === 'HEAD' ? reply(path) : { status: 405, body: 'GET alone\n' };
}

async function listen(server: Server, { host, port }: ListenAddress, log: EventLog): Promise<boolean> {
  try {
    await once(server.listen({ host, port }), 'listening');
    server.on('error', (error) => log.debug('a connection could not be accepted', { error: messageOf(error) }));
    log.debug('metrics are served', { port: (server.address() as { port: number }).port });
    return true;
  } catch (error) {
    const hint = 'name another address in metrics.listen';
    log.warning('warning', { listen: `${host}:${port}`, error: messageOf(error), hint }, 'there are no metrics');
    return false;
  }
}
