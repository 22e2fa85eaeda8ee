import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Checksum, HttpRequest, SourceData } from '@smithy/types';

/** Requests to AWS-like services with nothing between: for what the SDK would hide, mend or refuse to send. */

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface RawRequest {
  readonly method: string;
  /** Decoded: it is percent-encoded here. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** Default: signed as the credentials of the connection. `null`: not signed at all. */
  readonly credentials?: Credentials | null;
  readonly region?: string;
  readonly service?: string;
  readonly signingDate?: Date;
  /** Of those that are sent as a rule: left out, and not signed. */
  readonly without?: readonly string[];
  /** Changes the request after it was signed. */
  readonly tamper?: (request: HttpRequest) => void;
  /** Body as it goes over the wire, made from the finished headers: for chunked signatures. */
  readonly frame?: (signed: HttpRequest) => Buffer;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** What stands in the XML's `<Code>`; undefined where there is none. */
  readonly code: string | undefined;
  /** Whether the server asked for the body with `100 Continue`. */
  readonly continued: boolean;
}

class Sha256 implements Checksum {
  readonly #hash: Hash | Hmac;
  constructor(secret?: SourceData) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }
  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {
    throw new Error('not needed by the signer');
  }
}

function bytesOf(data: SourceData): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}

export const sha256Hex = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

const encodePath = (path: string): string => path.split('/').map(encodeRfc3986).join('/');

const encodeRfc3986 = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

export interface RawEndpoint {
  readonly url: string;
  readonly region: string;
  readonly credentials: Credentials;
  /** PEM: whom to trust, for HTTPS. */
  readonly ca?: string | undefined;
}

/** Signs, sends, and reads the answer as a whole. Rejects where the connection breaks. */
export async function sendSigned(endpoint: RawEndpoint, raw: RawRequest): Promise<RawAnswer> {
  const url = new URL(endpoint.url);
  const body = Buffer.from(raw.body ?? '');
  const unsigned: HttpRequest = {
    method: raw.method,
    protocol: url.protocol,
    hostname: url.hostname,
    port: Number(url.port),
    path: encodePath(raw.path),
    query: { ...raw.query },
    headers: {
      host: url.host,
      'content-length': String(body.length),
      'x-amz-content-sha256': sha256Hex(body),
      ...raw.headers,
    },
    body,
  };
  for (const name of raw.without ?? []) delete unsigned.headers[name];
  const request = raw.credentials === null ? unsigned : await sign(unsigned, endpoint, raw);
  raw.tamper?.(request);
  return send(request, raw.frame?.(request) ?? body, endpoint.ca);
}

async function sign(request: HttpRequest, endpoint: RawEndpoint, raw: RawRequest): Promise<HttpRequest> {
  const signer = new SignatureV4({
    credentials: raw.credentials ?? endpoint.credentials,
    region: raw.region ?? endpoint.region,
    service: raw.service ?? 's3',
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  return signer.sign(request, { signingDate: raw.signingDate ?? new Date() });
}

function send(request: HttpRequest, body: Buffer, ca: string | undefined): Promise<RawAnswer> {
  const query = Object.entries(request.query ?? {})
    .map(([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(String(value))}`)
    .join('&');
  const options = {
    method: request.method,
    hostname: request.hostname,
    port: request.port,
    path: query === '' ? request.path : `${request.path}?${query}`,
    headers: request.headers,
    agent: false as const,
    ...(ca !== undefined && { ca }),
  };
  return new Promise((resolve, reject) => {
    let continued = false;
    const outgoing = (request.protocol === 'https:' ? httpsRequest : httpRequest)(options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1];
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, code, continued });
        outgoing.destroy();
      });
    });
    outgoing.on('error', reject);
    if (request.headers['expect'] === undefined) {
      outgoing.end(body);
      return;
    }
    outgoing.on('continue', () => {
      continued = true;
      outgoing.end(body);
    });
    outgoing.flushHeaders();
  });
}
