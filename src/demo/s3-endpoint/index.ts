import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { EndpointParts } from './call.ts';
import { createExchange } from './exchange.ts';
import { checkBucketName } from './operations/buckets.ts';
import type { S3Endpoint, S3EndpointOptions } from './options.ts';
import { openObjectStore } from './store/object-store.ts';

export type {
  EndpointCredential,
  Fault,
  FaultHook,
  FaultRequest,
  S3Endpoint,
  S3EndpointOptions,
} from './options.ts';

/** Keep-alive for longer than clients keep idle sockets: the endpoint never closes one just as it is used again. */
const keepAliveMs = 120_000;

/**
 * An S3 server of this project's own: for the demo, for tests that want an honest server at once, for benchmarks. It
 * verifies what S3 verifies and answers with S3's errors; `test/support/s3-conformance.ts` holds it to that, and Ceph's
 * gateway to the same. It listens on 127.0.0.1 alone. STS's GetCallerIdentity is answered on the same port.
 *
 * Not in it: versioning, copying, presigned URLs, ACLs and other settings of buckets (501 NotImplemented), CRC64NVME.
 */
export async function startS3Endpoint(options: S3EndpointOptions): Promise<S3Endpoint> {
  const now = options.now ?? Date.now;
  const region = options.region ?? 'us-east-1';
  const store = openObjectStore(options.directory, now);
  for (const bucket of options.buckets ?? []) {
    const { name, region: itsRegion } = typeof bucket === 'string' ? { name: bucket, region } : bucket;
    checkBucketName(name);
    if (!store.hasBucket(name)) store.createBucket(name, itsRegion);
  }
  const parts: EndpointParts = {
    store,
    region,
    accountId: options.accountId ?? '123456789012',
    etags: options.etags ?? 'md5',
    now,
  };

  const closing = new AbortController();
  const exchange = createExchange(parts, options, closing.signal);
  const running = new Set<Promise<void>>();
  const answer = (expectsContinue: boolean) => (message: IncomingMessage, response: ServerResponse) => {
    const work = exchange(message, response, expectsContinue).finally(() => running.delete(work));
    running.add(work);
  };

  // A part of 5 GiB may take hours: no request has a time limit.
  const limits = { requestTimeout: 0, keepAliveTimeout: keepAliveMs, noDelay: true };
  const server =
    options.tls === undefined ? createHttpServer(limits) : createHttpsServer({ ...limits, ...options.tls });
  server.on('request', answer(false));
  server.on('checkContinue', answer(true));
  server.listen(options.port ?? 0, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }

  const { port } = server.address() as AddressInfo;
  let disposed: Promise<void> | undefined;
  async function dispose(): Promise<void> {
    const closed = once(server, 'close');
    server.close();
    closing.abort();
    server.closeAllConnections();
    await closed;
    await Promise.all(running);
    store[Symbol.dispose]();
  }
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    [Symbol.asyncDispose]: () => {
      disposed ??= dispose();
      return disposed;
    },
  };
}
