import { readFile } from 'node:fs/promises';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
// undici whole would bring fetch, WebSocket and caches, which nobody here asks for: 10 MB more.
import api from 'undici/lib/api/index.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import EnvHttpProxyAgent from 'undici/lib/dispatcher/env-http-proxy-agent.js';
import { ConfigError, messageOf } from './errors.ts';
import { type Exchange, exchange } from './http-exchange.ts';
import { renewConnections } from './renewed-connections.ts';
import { createSdkRequestHandler, type SdkRequestHandler } from './sdk-request-handler.ts';

// as undici's own index does
Object.assign(Dispatcher.prototype, api);

export interface NetworkOptions {
  /** The environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` (either case) and `AWS_CA_BUNDLE` are read from it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Connections to one host at most: more than requests in flight (`s3.concurrency` is 256 at most), or some stall. */
  readonly connections?: number;
  readonly connectTimeoutMs?: number;
  /** A request or an answer that makes no progress for this long has failed. */
  readonly stallMs?: number;
}

/** The one way to AWS: proxies, certificate authorities, connections and time-outs are the same for every client. */
export interface Network extends AsyncDisposable {
  readonly exchange: Exchange;
  /** For the clients of AWS's SDK. */
  readonly sdkRequestHandler: SdkRequestHandler;
  readonly stallMs: number;
}

/** Throws a `ConfigError` where `AWS_CA_BUNDLE` can't be read. Always HTTP/1.1: S3 speaks nothing else. */
export async function createNetwork({
  env,
  connections = 300,
  connectTimeoutMs = 10_000,
  stallMs = 60_000,
}: NetworkOptions): Promise<Network> {
  const secureContext = await trustedContext(env['AWS_CA_BUNDLE']);
  const tls = { timeout: connectTimeoutMs, ...(secureContext === undefined ? {} : { secureContext }) };
  const options = {
    httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'] ?? '',
    httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '',
    noProxy: withMetadataServices(env['no_proxy'] ?? env['NO_PROXY'] ?? ''),
    connections,
    allowH2: false,
    connect: tls,
    requestTls: tls,
    proxyTls: tls,
  };
  const opened = renewConnections(() => new EnvHttpProxyAgent(options));
  return {
    exchange: (request) => opened.send((current) => exchange(current, { stallMs, ...request })),
    sdkRequestHandler: createSdkRequestHandler(opened.send, stallMs),
    stallMs,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/**
 * The bundle adds to what is trusted rather than to replace it. One context for all connections: each of its own would
 * parse 150 certificates again, and keep them. Undefined where there is no bundle: Node's own, shared as well.
 */
async function trustedContext(bundleFile: string | undefined): Promise<SecureContext | undefined> {
  if (bundleFile === undefined || bundleFile === '') return undefined;
  try {
    const bundle = await readFile(bundleFile, 'utf8');
    return createSecureContext({ ca: [...getCACertificates('default'), bundle] });
  } catch (cause) {
    throw new ConfigError(`The CA bundle ${bundleFile} can't be used: ${messageOf(cause)}`, {
      hint: 'AWS_CA_BUNDLE must name a PEM file that this user may read.',
      cause,
    });
  }
}

/** Link-local services of EC2 and containers are never behind a proxy. */
const withMetadataServices = (noProxy: string) =>
  [noProxy, '169.254.169.254', '169.254.170.2'].filter(Boolean).join(',');
