import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { authorize, requireRegion } from './access.ts';
import { type Answer, createCall, type EndpointParts } from './call.ts';
import { createDescriber, Unanswered, withFault } from './faults.ts';
import { operations } from './operations/index.ts';
import type { FaultRequest, S3EndpointOptions } from './options.ts';
import { parseRequest, type S3Request } from './request.ts';
import { errorDocument, S3Error, s3Error } from './s3-error.ts';
import { authenticate } from './signature.ts';
import { answerSts } from './sts.ts';

/** What is left of a refused body is read and dropped, so that the client comes to the answer; beyond this it is cut. */
const maxDroppedBytes = 64 * 1024 * 1024;

export type Exchange = (message: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => Promise<void>;

/** One request from its arrival to its answer. Never rejects. `signal` ends those that wait when the endpoint closes. */
export function createExchange(
  endpoint: EndpointParts,
  { credentials, faults, onAnswer }: Pick<S3EndpointOptions, 'credentials' | 'faults' | 'onAnswer'>,
  signal: AbortSignal,
): Exchange {
  // Without a hook nobody looks: then a long-lived endpoint need not remember all its keys.
  const describe = faults === undefined && onAnswer === undefined ? undefined : createDescriber();
  const hostId = randomBytes(16).toString('base64');
  let requestNumber = randomBytes(4).readUInt32BE();

  async function work(request: S3Request, onStart: () => void): Promise<Answer> {
    const rules = { credentials, region: endpoint.region, nowMs: endpoint.now(), accountId: endpoint.accountId };
    if (request.operation === 'GetCallerIdentity') {
      onStart();
      return answerSts(request, rules);
    }
    const authentication = authenticate(request, rules);
    const call = createCall(endpoint, request, authentication, onStart);
    requireRegion(call);
    authorize(request, authentication.credential, endpoint);
    return operations[request.operation](call);
  }

  return async (message, response, expectsContinue) => {
    requestNumber += 1;
    const requestId = requestNumber.toString(16).toUpperCase().padStart(16, '0');
    response.setHeader('x-amz-request-id', requestId);
    response.setHeader('x-amz-id-2', hostId);
    response.setHeader('server', 'AmazonS3');
    response.setHeader('date', new Date(endpoint.now()).toUTCString());
    let bodyUnasked = expectsContinue;
    const onStart = () => {
      if (bodyUnasked) response.writeContinue();
      bodyUnasked = false;
    };
    let described: FaultRequest | undefined;
    try {
      const request = parseRequest(message);
      described = describe?.(request);
      const fault = described && (await faults?.(described));
      const answer = await withFault(fault, { message, response }, signal, () => work(request, onStart));
      await send(response, answer);
      if (described) onAnswer?.({ request: described, status: answer.status });
    } catch (error) {
      if (error instanceof Unanswered || signal.aborted || message.socket.destroyed) return;
      const failure = error instanceof S3Error ? error : s3Error('InternalError', { message: String(error) });
      await sendError(message, response, failure, { requestId, hostId, bodyUnasked });
      if (described) onAnswer?.({ request: described, status: failure.status, code: failure.code });
    }
  };
}

async function send(response: ServerResponse, { status, headers = {}, body }: Answer): Promise<void> {
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
  response.statusCode = status;
  if (body === undefined || typeof body === 'string') {
    if (body !== undefined) response.setHeader('content-type', 'application/xml');
    response.end(body);
    return;
  }
  const { object, start, end } = body;
  using _ = object;
  if (end < start) {
    response.end();
    return;
  }
  await pipeline(
    createReadStream('', { fd: object.fd, start, end, autoClose: false, highWaterMark: 1 << 20 }),
    response,
  );
}

async function sendError(
  message: IncomingMessage,
  response: ServerResponse,
  error: S3Error,
  ids: { readonly requestId: string; readonly hostId: string; readonly bodyUnasked: boolean },
): Promise<void> {
  if (response.headersSent) {
    message.socket.destroy();
    return;
  }
  const withBody = message.method !== 'HEAD' && error.status !== 304;
  // A client that was never told to go on will not send its body: the next bytes on this connection mean nothing.
  if (ids.bodyUnasked) response.setHeader('connection', 'close');
  await send(response, {
    status: error.status,
    headers: error.headers,
    ...(withBody && { body: errorDocument(error, ids.requestId, ids.hostId) }),
  });
  dropRest(message);
}

function dropRest(message: IncomingMessage): void {
  if (message.complete) return;
  let dropped = 0;
  message.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > maxDroppedBytes) message.socket.destroy();
  });
  message.on('error', () => {});
  message.resume();
}
