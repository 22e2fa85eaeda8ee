import { once } from 'node:events';
import { lstat, readFile, rename, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ask } from '../../../src/control/client.ts';
import { type Answer, mostQuestionBytes, type Question } from '../../../src/control/protocol.ts';
import { type ControlLimits, openControl } from '../../../src/control/server.ts';
import { ServiceUnavailable } from '../../../src/service/errors.ts';
import { runAsNobody } from '../../support/as-nobody.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
let path: string;
beforeEach(async () => {
  folder = await tempFolder();
  path = folder.at('control.sock');
});
afterEach(() => folder[Symbol.asyncDispose]());

/** Answers `explain` with the path itself, `retry` with a thousand lines, and `retry-all` with a failure. */
async function* echo(question: Question): AsyncGenerator<Answer> {
  if (question.command === 'retry-all') throw new Error('the quarantine cannot be read');
  if (question.command === 'retry') {
    for (let file = 0; file < 1000; file += 1) yield { done: false, putBack: { path: 'x'.repeat(2000) } };
  }
  const said = 'path' in question ? question.path : 'status';
  yield { done: true, explanation: { path: said, state: 'queued', notes: [], facts: {} } };
}

async function open(limits: Partial<ControlLimits> = {}) {
  const log = recordingLog();
  const control = await openControl({ path, log, answer: echo, limits: { restMs: 0, ...limits } });
  return { log, [Symbol.asyncDispose]: () => control[Symbol.asyncDispose]() };
}

async function answersTo(question: Question): Promise<Answer[]> {
  return await Array.fromAsync(ask(path, question));
}

const explained = async (of: string) => {
  const [answer] = await answersTo({ command: 'explain', path: of });
  return answer !== undefined && 'explanation' in answer ? answer.explanation.path : undefined;
};

/** A client without manners. */
function stranger(): Socket {
  return connect(path).on('error', () => {});
}
const closed = (client: Socket) =>
  new Promise<void>((resolve) => (client.closed ? resolve() : client.once('close', () => resolve())));

test('answers who may connect, user and group alone', async () => {
  await using _control = await open();
  expect(await explained('a/b.txt')).toBe('a/b.txt');
  expect((await lstat(path)).mode & 0o777).toBe(0o660);
});

test('several questions on one connection are answered in their order', async () => {
  await using _control = await open();
  const client = stranger();
  client.end('{"command":"explain","path":"1"}\n{"command":"status"}\n{"command":"explain","path":"2"}\n');
  const said = (await client.setEncoding('utf8').toArray()).join('').trim().split('\n');
  expect(said.map((line) => JSON.parse(line).explanation.path)).toEqual(['1', 'status', '2']);
});

test('a failure is told to the one who asked, and the next question is answered', async () => {
  await using _control = await open();
  await expect(answersTo({ command: 'retry-all' })).rejects.toThrow('the quarantine cannot be read');
  expect(await explained('next')).toBe('next');
});

test('the socket goes with the daemon; then nobody can be reached', async () => {
  const control = await open();
  await control[Symbol.asyncDispose]();
  await expect(lstat(path)).rejects.toThrow('ENOENT');
  await expect(explained('x')).rejects.toThrow(ServiceUnavailable);
  await expect(explained('x')).rejects.toThrow('no daemon listens at');
});

test('what a killed daemon left behind is replaced', async () => {
  const before = createServer().listen(path);
  await once(before, 'listening');
  // A listening socket whose process died: bound, and nobody there.
  await using left = await tempFolder();
  await rename(path, left.at('kept'));
  before.close();
  await rename(left.at('kept'), path);
  await expect(explained('x')).rejects.toThrow('no daemon listens at');
  await using control = await open();
  expect(control.log.events).toEqual([]);
  expect(await explained('x')).toBe('x');
});

test('a daemon that is there is left alone; the second one says so once and goes on', async () => {
  await using _first = await open();
  await using second = await open();
  expect(second.log.events).toHaveLength(1);
  expect(second.log.events[0]).toMatchObject({ level: 'warning', event: 'warning' });
  expect(JSON.stringify(second.log.events[0])).toContain('another process listens');
  expect(await explained('x')).toBe('x');
});

test('a file in its place is not removed', async () => {
  await writeFile(path, 'precious');
  await using control = await open();
  expect(control.log.named('warning')).toHaveLength(1);
  expect(await readFile(path, 'utf8')).toBe('precious');
});

test('a folder that is not there costs a warning with the cure', async () => {
  path = folder.at('missing', 'control.sock');
  await using control = await open();
  expect(control.log.named('warning')[0]?.fields['hint']).toContain('RuntimeDirectory=');
});

test('who asks may hang up before the answer', async () => {
  await using server = createServer(() => {}).listen(path);
  await once(server, 'listening');
  const hangUp = new AbortController();
  const asking = Array.fromAsync(ask(path, { command: 'status' }, hangUp.signal));
  const [client] = (await once(server, 'connection')) as [Socket];
  hangUp.abort();
  await expect(asking).rejects.toThrow(ServiceUnavailable);
  client.resume();
  await closed(client);
});

test('who may not connect is told what to do', async () => {
  const said = await runAsNobody<{ message: string; hint: string }>(`
    const { openControl } = await load('src/control/server.ts');
    const { ask } = await load('src/control/client.ts');
    const { chmod } = await import('node:fs/promises');
    const silent = () => {};
    const log = { info: silent, warning: silent, error: silent, debug: silent };
    await using control = await openControl({ path: at('control.sock'), log, async *answer() {} });
    await chmod(at('control.sock'), 0);
    try {
      for await (const answer of ask(at('control.sock'), { command: 'status' })) return { answer };
    } catch ({ message, hint }) {
      return { message, hint };
    }`);
  expect(said.message).toContain('may not speak to the daemon');
  expect(said.hint).toContain('usermod -aG');
});

test.each([
  ['no JSON', 'GET / HTTP/1.1\r\n\r\n'],
  ['no question', '{"command":"shutdown"}\n'],
  ['a question without its path', '{"command":"explain"}\n'],
  ['a path that is no text', '{"command":"explain","path":{"toString":1}}\n'],
  ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00, 0x0a])],
  ['too long', `{"command":"explain","path":"${'x'.repeat(mostQuestionBytes)}"}\n`],
])('%s: it is told so, and left', async (_what, bytes) => {
  await using _control = await open();
  const client = stranger();
  client.write(bytes);
  expect(
    (
      await client
        .setEncoding('utf8')
        .toArray()
        .catch(() => [])
    ).join(''),
  ).toContain('that is not a question');
  await closed(client);
  expect(await explained('x')).toBe('x');
});

test('a client that is silent, or sends a byte now and then, is left', async () => {
  await using _control = await open({ patienceMs: 100 });
  const silent = stranger();
  const slow = stranger();
  const dripping = setInterval(() => slow.write(' '), 10);
  await Promise.all([closed(silent.resume()), closed(slow.resume())]);
  clearInterval(dripping);
  expect(await explained('x')).toBe('x');
});

test('a client that never ends its question is left', async () => {
  await using _control = await open();
  const endless = stranger().resume();
  endless.write('x'.repeat(mostQuestionBytes * 4));
  await closed(endless);
  expect(await explained('x')).toBe('x');
});

test('a client that reads nothing of its answer is left, and its place is free again', async () => {
  await using _control = await open({ connections: 1, patienceMs: 100 });
  const deaf = stranger();
  deaf.write('{"command":"retry","path":"x"}\n');
  await once(deaf, 'connect');
  await expect(explained('turned away')).rejects.toThrow();
  await vi.waitFor(async () => expect(await explained('x')).toBe('x'), { timeout: 10_000 });
  deaf.destroy();
});

test('more clients than there is room for are turned away; room comes back', async () => {
  await using _control = await open({ connections: 4, patienceMs: 300 });
  const crowd = Array.from({ length: 50 }, stranger);
  await Promise.all(crowd.map((client) => closed(client.resume())));
  expect(await explained('x')).toBe('x');
});

test('whatever is sent, it answers or hangs up, and the next one is served', async () => {
  await using control = await open({ patienceMs: 200 });
  const question = fc.record({ command: fc.constantFrom('status', 'explain', 'retry', 'x'), path: fc.anything() });
  const line = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc.json().map((text) => Buffer.from(`${text}\n`)),
    question.map((value) => Buffer.from(`${JSON.stringify(value)}\n`)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 5 }), fc.boolean(), async (lines, cutsOff) => {
      const client = stranger();
      for (const bytes of lines) client.write(bytes);
      if (cutsOff) client.destroy();
      else client.end();
      const said = (
        await client
          .setEncoding('utf8')
          .toArray()
          .catch(() => [])
      ).join('');
      for (const text of said.split('\n').slice(0, -1)) expect(JSON.parse(text)).toHaveProperty('done');
      expect(await explained('x')).toBe('x');
    }),
    { numRuns: 150 },
  );
  expect(control.log.events.filter(({ level }) => level !== 'debug')).toEqual([]);
});
