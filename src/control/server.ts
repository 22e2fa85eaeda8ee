import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog } from '../model.ts';
import { codeOf, LocalFailure, messageOf } from '../service/errors.ts';
import { errorFields } from '../service/log-error.ts';
import { type Answer, mostQuestionBytes, type Question, questionFrom } from './protocol.ts';

export interface ControlServerOptions {
  /** Where the socket is made. */
  readonly path: string;
  readonly log: EventLog;
  /** Lines for one question; what is yielded last has `done`. A throw becomes an error line. */
  answer(question: Question, signal: AbortSignal): AsyncIterable<Answer>;
  readonly limits?: Partial<ControlLimits>;
}

/** Whoever may connect can ask, and nothing more: these keep a client from costing the daemon anything that matters. */
export interface ControlLimits {
  readonly connections: number;
  /** For a whole question to come, and for an answer to be read. */
  readonly patienceMs: number;
  /** Between two questions of one client. */
  readonly restMs: number;
}

const usual: ControlLimits = { connections: 16, patienceMs: 10_000, restMs: 10 };

/** Read and write for the user and the group of the service, nothing for others. */
const socketMode = 0o660;

/**
 * Listens for `status`, `explain` and `retry`. A socket that a killed daemon left behind is replaced; a daemon that
 * cannot make its socket says so once and goes on without.
 */
export async function openControl(options: ControlServerOptions): Promise<AsyncDisposable> {
  const limits = { ...usual, ...options.limits };
  const clients = new Set<Socket>();
  const serving = new Set<Promise<void>>();
  const stop = new AbortController();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    client.on('error', () => client.destroy());
    const served = serve(client, options, limits, stop.signal)
      .catch(() => undefined) // it went away, was too slow, or we are stopping
      .finally(() => {
        serving.delete(served);
        client.destroy();
      });
    serving.add(served);
  });
  server.maxConnections = limits.connections;
  const isOpen = await listen(server, options);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopping'));
      for (const client of clients) client.destroy();
      await Promise.all(serving);
      if (isOpen) await new Promise((resolve) => server.close(resolve)); // which removes the socket, too
    },
  };
}

async function listen(server: Server, { path, log }: ControlServerOptions): Promise<boolean> {
  try {
    await removeStale(path);
    await once(server.listen(path), 'listening');
    server.on('error', (error) => log.debug('a client could not be accepted', { error: messageOf(error) }));
    await chmod(path, socketMode);
    return true;
  } catch (error) {
    const hint = 'its folder must be writable by the service user (under systemd RuntimeDirectory= makes it)';
    log.warning('warning', { socket: path, hint, ...withoutHint(error) }, 'status, explain and retry do not work');
    server.close();
    return false;
  }
}

const withoutHint = (error: unknown) => {
  const { error: text, hint } = errorFields(error);
  return hint === undefined ? { error: text } : { error: text, hint };
};

/**
 * Nobody listens at the socket of a daemon that is no more.
 * @throws LocalFailure where somebody does, or where something else is in its place: that is left alone.
 */
async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw new LocalFailure(`${path} exists already, and is not a socket`, { hint: 'remove it, or name another' });
  }
  if (await isAnswered(path)) {
    throw new LocalFailure(`another process listens at ${path}`, { hint: 'name another control.socket' });
  }
  await unlink(path);
}

async function isAnswered(path: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error) => {
    if (codeOf(error) === 'ECONNREFUSED' || codeOf(error) === 'ENOENT') resolve(false);
    else reject(error);
  });
  return promise.finally(() => socket.destroy());
}

/** One client, from its first question to its last. One that sends what is not a question is told so and left. */
async function serve(
  client: Socket,
  { answer, log }: ControlServerOptions,
  limits: ControlLimits,
  stop: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  client.once('close', () => gone.abort(new Error('the client has gone')));
  const signal = AbortSignal.any([stop, gone.signal]);
  const write = (line: Answer) => writeLine(client, line, limits.patienceMs);
  for await (const line of linesOf(client, limits.patienceMs)) {
    const question = line === undefined ? undefined : questionFrom(line);
    if (question === undefined) return await write({ done: true, error: 'that is not a question' });
    try {
      for await (const part of answer(question, signal)) await write(part);
    } catch (error) {
      signal.throwIfAborted();
      log.debug('a question could not be answered', { error: messageOf(error) });
      await write({ done: true, error: messageOf(error) });
    }
    await sleep(limits.restMs, undefined, { signal });
  }
}

/** Its lines, without their ends; undefined for one that is too long. Throws where one takes too long to come. */
async function* linesOf(client: Socket, patienceMs: number): AsyncGenerator<string | undefined> {
  let rest = '';
  client.setEncoding('utf8');
  const chunks = client[Symbol.asyncIterator]() as AsyncIterator<string>;
  let untilMs = performance.now() + patienceMs;
  for (;;) {
    const end = rest.indexOf('\n');
    if (end !== -1) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      yield Buffer.byteLength(line) <= mostQuestionBytes ? line : undefined;
      untilMs = performance.now() + patienceMs;
    } else if (rest.length > mostQuestionBytes) {
      yield undefined;
      return;
    } else {
      const chunk = await inTime(chunks.next(), untilMs - performance.now(), client);
      if (chunk.done) return;
      rest += chunk.value;
    }
  }
}

async function writeLine(client: Socket, line: Answer, patienceMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  client.once('close', resolve);
  client.write(`${JSON.stringify(line)}\n`, (error) => (error ? reject(error) : resolve()));
  await inTime(promise, patienceMs, client).finally(() => client.off('close', resolve));
  if (client.destroyed) throw new Error('the client has gone');
}

/** A client that is too slow is left: what it is waited for ends then, too. */
async function inTime<T>(work: Promise<T>, patienceMs: number, client: Socket): Promise<T> {
  const timer = setTimeout(() => client.destroy(new Error('too slow')), patienceMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
