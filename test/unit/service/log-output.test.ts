import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';

const source = (name: string): string =>
  JSON.stringify(new URL(`../../../src/service/${name}.ts`, import.meta.url).href);
const prelude = `
  import { createLogger } from ${source('logger')};
  import { logRuntimeMessages } from ${source('log-runtime')};
  const log = createLogger({ level: 'info', format: 'json', destination: { fd: 1, kind: 'other', colours: false } });
  logRuntimeMessages(process, createLogger({ level: 'debug', format: 'text', destination: { fd: 2, kind: 'other', colours: false } }));
  logRuntimeMessages(process, log); // as once the configuration is read
`;

/** A program of its own that logs to a pipe; without `read` nobody reads it at first. */
function startProgram(body: string) {
  return spawn(process.execPath, ['--input-type=module', '-e', prelude + body], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function outcomeOf(body: string) {
  const child = startProgram(body);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const lines = stdout.split('\n').slice(0, -1);
  return { records: lines.map((line) => JSON.parse(line) as Record<string, unknown>), stderr, code };
}

describe('no line is lost', () => {
  test('at an exit right after a burst, more than a pipe holds', async () => {
    const { records, code } = await outcomeOf(`
      for (let n = 0; n < 20_000; n += 1) log.info('uploaded', { n, path: 'some/folder/some file.txt' });
      process.exit(3);`);
    expect(code).toBe(3);
    expect(records.map(({ n }) => n)).toEqual(Array.from({ length: 20_000 }, (_, n) => n));
  });

  test('where the descriptor is non-blocking and its reader slow; and the event loop goes on meanwhile', async () => {
    const child = startProgram(`
      import { Socket } from 'node:net';
      new Socket({ fd: 1 }).unref(); // libuv makes the pipe non-blocking
      for (let n = 0; n < 20_000; n += 1) log.info('uploaded', { n });
      setTimeout(() => process.stderr.write('the loop runs'), 20);`);
    await once(child.stderr, 'data');
    const [stdout] = await Promise.all([text(child.stdout), once(child, 'close')]);
    const lines = stdout.split('\n').slice(0, -1);
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(Array.from({ length: 20_000 }, (_, n) => n));
  });
});

test('a reader that goes away ends nothing', async () => {
  const child = startProgram(`
    setInterval(() => log.info('uploaded', {}), 1);
    setInterval(() => process.stderr.write('alive'), 10);`);
  await once(child.stderr, 'data');
  child.stdout.destroy();
  for (let n = 0; n < 3; n += 1) await once(child.stderr, 'data');
  child.kill('SIGKILL');
  expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
});

describe('what the runtime itself says is a line of the log, and stderr stays empty', () => {
  test('warnings', async () => {
    const { records, stderr } = await outcomeOf(`process.emitWarning('old\\nthing', { code: 'DEP0001' });`);
    expect(stderr).toBe('');
    expect(records).toEqual([
      expect.objectContaining({ level: 'warning', event: 'warning', error: 'old\nthing', code: 'DEP0001' }),
    ]);
  });

  test('what a library tells the console', async () => {
    const { records, stderr } = await outcomeOf(`console.log('not this'); console.warn('%s of\\n%d', 'one', 2);`);
    expect(stderr).toBe('');
    expect(records).toEqual([expect.objectContaining({ level: 'warning', event: 'warning', text: 'one of\n2' })]);
  });

  test.each([
    ['an exception', `setTimeout(() => { throw new Error('boom', { cause: new TypeError('no such row') }); }, 1);`],
    ['a rejection that nobody handles', `Promise.reject(new Error('boom', { cause: new TypeError('no such row') }));`],
  ])('%s: exit 1, with what and where', async (_, body) => {
    const { records, stderr, code } = await outcomeOf(`log.info('uploaded', {}); ${body}`);
    expect({ stderr, code }).toEqual({ stderr: '', code: 1 });
    expect(records).toEqual([
      expect.objectContaining({ event: 'uploaded' }),
      expect.objectContaining({
        level: 'error',
        event: 'stopped',
        error: 'boom: no such row',
        stack: expect.stringMatching(/:\d+:\d+/),
      }),
    ]);
  });
});
