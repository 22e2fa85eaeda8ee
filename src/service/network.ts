import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { ConfigError, messageOf } from './errors.ts';
import { type Exchange, exchange } from './http-exchange.ts';
import { createSdkRequestHandler, type SdkRequestHandler } from './sdk-request-handler.ts';

export interface NetworkOptions {
  /** The environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` (either case) and `AWS_CA_BUNDLE` are read from it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Connections kept to one host at most; parallel requests beyond it wait. */
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
  connections = 64,
  connectTimeoutMs = 10_000,
  stallMs = 60_000,
}: NetworkOptions): Promise<Network> {
  const ca = await certificateAuthorities(env['AWS_CA_BUNDLE']);
  const tls = ca === undefined ? {} : { ca };
  const dispatcher: Dispatcher = new EnvHttpProxyAgent({
    httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'] ?? '',
    httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '',
    noProxy: withMetadataServices(env['no_proxy'] ?? env['NO_PROXY'] ?? ''),
    connections,
    allowH2: false,
    connect: { timeout: connectTimeoutMs, ...tls },
    requestTls: { timeout: connectTimeoutMs, ...tls },
    proxyTls: { timeout: connectTimeoutMs, ...tls },
  });
  return {
    exchange: (request) => exchange(dispatcher, { stallMs, ...request }),
    sdkRequestHandler: createSdkRequestHandler(dispatcher, stallMs),
    stallMs,
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  };
}

/** As the AWS CLI has it, the bundle adds to what is trusted rather than to replace it. */
async function certificateAuthorities(bundleFile: string | undefined): Promise<string[] | undefined> {
  if (bundleFile === undefined || bundleFile === '') return undefined;
  try {
    return [...rootCertificates, await readFile(bundleFile, 'utf8')];
  } catch (cause) {
    throw new ConfigError(`The CA bundle ${bundleFile} can't be read: ${messageOf(cause)}`, {
      hint: 'AWS_CA_BUNDLE must name a PEM file that this user may read.',
      cause,
    });
  }
}

/** Link-local services of EC2 and containers are never behind a proxy. */
const withMetadataServices = (noProxy: string) =>
  [noProxy, '169.254.169.254', '169.254.170.2'].filter(Boolean).join(',');
