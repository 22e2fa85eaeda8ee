import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from './call.ts';
import type { Fault, FaultRequest } from './options.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { xmlDocument } from './xml.ts';

/** What the hook is told of a request: it is numbered, and counted among those of its kind. */
export function createDescriber(): (request: S3Request) => FaultRequest {
  const attempts = new Map<string, number>();
  let number = 0;
  return ({ method, operation, bucket, key, query, headers }) => {
    number += 1;
    const name = `${operation} ${bucket}/${key} ${query.get('partNumber') ?? ''}`;
    const attempt = (attempts.get(name) ?? 0) + 1;
    attempts.set(name, attempt);
    return { method, operation, bucket, key, query, headers, attempt, number };
  };
}

/** The answer was taken from the client: there is nothing more to do for this request. */
export class Unanswered extends Error {}

/**
 * Does what the fault asks for around `work`. Throws S3Error for an error to answer, Unanswered once the socket is cut
 * or given up.
 */
export async function withFault(
  fault: Fault | undefined,
  { message, response }: { readonly message: IncomingMessage; readonly response: ServerResponse },
  signal: AbortSignal,
  work: () => Promise<Answer>,
): Promise<Answer> {
  switch (fault?.kind) {
    case undefined:
      return work();
    case 'status':
      throw new S3Error(fault.code, fault.status, fault.message ?? fault.code, { headers: fault.headers ?? {} });
    case 'error-in-200':
      message.resume();
      return {
        status: 200,
        body: xmlDocument('Error', { Code: fault.code, Message: fault.message ?? fault.code }, null),
      };
    case 'reset-before':
      await readBytes(message, fault.afterBytes ?? 0);
      throw cut(message);
    case 'reset-after':
      await workUnheard(work);
      throw cut(message);
    case 'hang':
      if (fault.work === true) await workUnheard(work);
      if (!response.closed) await once(response, 'close', { signal });
      throw new Unanswered();
    case 'delay':
      await sleep(fault.ms, undefined, { signal });
      return withFault(fault.then, { message, response }, signal, work);
  }
}

/** The work is done, or refused: nobody will know. */
async function workUnheard(work: () => Promise<Answer>): Promise<void> {
  try {
    const { body } = await work();
    if (typeof body === 'object') body.object[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
  }
}

function cut(message: IncomingMessage): Unanswered {
  message.socket.resetAndDestroy();
  return new Unanswered();
}

async function readBytes(message: IncomingMessage, wanted: number): Promise<void> {
  let read = 0;
  if (wanted === 0) return;
  for await (const chunk of message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    read += chunk.length;
    if (read >= wanted) return;
  }
}
