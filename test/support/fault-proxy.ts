import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type S3Operation =
  | 'PutObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'other';

export interface SeenRequest {
  readonly operation: S3Operation;
  /** 0 for anything but UploadPart. */
  readonly part: number;
  /** 1 for the first request of this operation (and part) since the proxy was told to start afresh. */
  readonly attempt: number;
  /** Bytes of its body that came. */
  bodyBytes: number;
  /** What the server answered; 0 where it was not asked or its answer was lost. */
  status: number;
}

export type ProxyFault =
  /** Answered so; the server is not asked. */
  | { readonly answer: number; readonly code: string }
  /** Cut once the body has come; the server is not asked. */
  | 'lost-request'
  /** The server does it, its answer is cut off. */
  | 'lost-answer'
  /** Never answered; the server is not asked. */
  | 'hang'
  /** The body is never read, nothing is answered. */
  | 'deaf'
  | undefined;

export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** Requests that are under way. */
  readonly open: number;
  /** From now on asked about each request before its body is read, and forgets what it saw. */
  fresh(fault?: (request: SeenRequest) => ProxyFault | Promise<ProxyFault>): void;
}

/** Stands between an uploader and any S3 server on loopback, loses requests and answers, and counts what is sent. */
export async function startFaultProxy(upstream: string): Promise<FaultProxy> {
  const target = new URL(upstream);
  const requests: SeenRequest[] = [];
  const answering = new Set<ServerResponse>();
  const deaf = new Set<IncomingMessage>();
  let faultOf: (request: SeenRequest) => ProxyFault | Promise<ProxyFault> = () => undefined;

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    answering.add(response);
    response.once('close', () => answering.delete(response));
    const seen = describe(incoming);
    requests.push(seen);
    const fault = await faultOf(seen);
    if (fault === 'deaf') {
      // who does not read is not told either that the client has gone
      answering.delete(response);
      deaf.add(incoming);
      return;
    }
    const body = await bodyOf(incoming, seen);
    if (body === undefined || fault === 'hang') return;
    if (fault === 'lost-request') return void incoming.socket.destroy();
    if (typeof fault === 'object') return answer(response, fault);
    const upstreamAnswer = await pass(incoming, body);
    const answerBody = await Array.fromAsync(upstreamAnswer);
    seen.status = upstreamAnswer.statusCode ?? 0;
    if (fault === 'lost-answer') return void incoming.socket.destroy();
    response.writeHead(seen.status, upstreamAnswer.headers);
    response.end(Buffer.concat(answerBody));
  }

  async function pass(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const { method, url, headers } = incoming;
    const outgoing = forward({ host: target.hostname, port: target.port, method, path: url, headers });
    outgoing.end(body);
    const [upstreamAnswer] = await once(outgoing, 'response');
    return upstreamAnswer;
  }

  function describe(incoming: IncomingMessage): SeenRequest {
    const query = new URL(incoming.url ?? '/', upstream).searchParams;
    const operation = operationOf(incoming.method, query);
    const part = Number(query.get('partNumber') ?? 0);
    const attempt = 1 + requests.filter((other) => other.operation === operation && other.part === part).length;
    return { operation, part, attempt, bodyBytes: 0, status: 0 };
  }

  const server = createServer((incoming, response) => {
    handle(incoming, response).catch(() => incoming.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get open() {
      return answering.size;
    },
    fresh(fault = () => undefined) {
      faultOf = fault;
      requests.length = 0;
      for (const incoming of deaf) incoming.socket.destroy();
      deaf.clear();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function operationOf(method: string | undefined, query: URLSearchParams): S3Operation {
  if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload';
  if (method === 'PUT') return query.has('partNumber') ? 'UploadPart' : 'PutObject';
  if (!query.has('uploadId')) return 'other';
  if (method === 'POST') return 'CompleteMultipartUpload';
  return method === 'DELETE' ? 'AbortMultipartUpload' : 'other';
}

/** Undefined where the client went away before it was all sent. */
async function bodyOf(incoming: IncomingMessage, seen: SeenRequest): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming) {
      chunks.push(chunk);
      seen.bodyBytes += chunk.length;
    }
    return Buffer.concat(chunks);
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, { answer: status, code }: { answer: number; code: string }): void {
  response.writeHead(status, { 'content-type': 'application/xml', 'x-amz-request-id': 'FAULT' });
  response.end(
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>as asked</Message></Error>`,
  );
}
