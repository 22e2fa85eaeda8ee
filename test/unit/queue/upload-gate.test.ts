import { expect, test } from 'vitest';
import type { RelativePath } from '../../../src/model.ts';
import { createUploadGate, type UploadGateOptions } from '../../../src/queue/upload-gate.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../../src/service/errors.ts';
import { recordingLog } from '../../support/recording-log.ts';

/** A gate, and somebody to ask whose answers the test gives: errors one after the other, then yes. */
function open(options: Partial<UploadGateOptions> & { answers?: unknown[] } = {}) {
  const { answers = [] } = options;
  const log = recordingLog();
  const turns: string[] = [];
  let asked = 0;
  const gate = createUploadGate({
    log,
    async ask() {
      asked += 1;
      const answer = answers.shift();
      if (answer !== undefined) throw answer;
    },
    delayMs: () => 1,
    onClose: () => turns.push('closed'),
    onOpen: () => turns.push('open'),
    ...options,
  });
  const said = () =>
    log.events.filter(({ event }) => event === 'paused' || event === 'resumed').map(({ event }) => event);
  return { gate, log, turns, said, asked: () => asked };
}

const unreachable = () => new ServiceUnavailable('s3', 'no answer');
const serverError = () => new ServiceUnavailable('s3', '500 InternalError', { answered: true });
const expired = () => new CredentialsError('ExpiredToken', { hint: 'Log in.' });
const file = (name: string) => name as RelativePath;
const never = () => new Promise<void>(() => {});

test('refused credentials close it at once, and one line says so, however many files are refused', async () => {
  const { gate, log, turns } = open({ ask: never });
  for (let number = 0; number < 50; number += 1) expect(gate.report(expired(), file(`file-${number}`))).toBe(true);
  expect(turns).toEqual(['closed']);
  expect(log.named('paused')).toMatchObject([{ level: 'error', fields: { error: 'ExpiredToken', hint: 'Log in.' } }]);
  expect(gate.outage()?.error.message).toBe('ExpiredToken');
});

test('it asks again until the answer is yes, and opens by itself', async () => {
  const { gate, turns, said, asked } = open({ answers: [expired(), expired(), expired()] });
  await using _ = gate;
  gate.report(expired(), file('a'));
  await expect.poll(() => turns).toEqual(['closed', 'open']);
  expect(asked()).toBe(4);
  expect(said()).toEqual(['paused', 'resumed']);
  expect(gate.isClosed()).toBe(false);
});

test('three failures of S3 in a row are an outage; a success between them is none', () => {
  const { gate, turns, log } = open({ ask: never });
  for (const name of ['a', 'b']) expect(gate.report(unreachable(), file(name))).toBe(false);
  gate.succeeded();
  for (const name of ['c', 'd']) gate.report(unreachable(), file(name));
  expect(turns).toEqual([]);
  expect(gate.report(unreachable(), file('e'))).toBe(true);
  expect(turns).toEqual(['closed']);
  expect(log.named('paused')).toMatchObject([{ level: 'warning' }]);
});

test('one file that S3 answers with an error again and again closes nothing', () => {
  const { gate, turns } = open({ ask: never });
  for (let attempt = 0; attempt < 20; attempt += 1) gate.report(serverError(), file('bad'));
  expect(turns).toEqual([]);
  gate.report(serverError(), file('another'));
  expect(turns).toEqual(['closed']);
});

test('what the question does not see is over with the first upload: said once, tried ever more rarely', async () => {
  const attempts: number[] = [];
  const delayMs = (attempt: number) => {
    attempts.push(attempt);
    return 1;
  };
  const { gate, log, turns, said } = open({ delayMs });
  await using _ = gate;
  const full = () => {
    for (const name of ['a', 'b', 'c']) gate.report(serverError(), file(name));
  };
  for (let cycle = 1; cycle <= 4; cycle += 1) {
    full();
    await expect.poll(() => turns).toHaveLength(2 * cycle);
    expect(gate.isClosed()).toBe(true);
    expect(gate.outage()?.since.getTime()).toBeLessThanOrEqual(Date.now());
  }
  expect(attempts).toEqual([1, 2, 3, 4]);
  expect(said()).toEqual(['paused']);
  gate.succeeded();
  expect(gate.isClosed()).toBe(false);
  expect(said()).toEqual(['paused', 'resumed']);
  full();
  await expect.poll(said).toEqual(['paused', 'resumed', 'paused']);
  expect(attempts).toEqual([1, 2, 3, 4, 1]);
  expect(log.named('paused')).toHaveLength(2);
});

test('what turns out to be another trouble is said too', async () => {
  const { gate, log, turns } = open({ answers: [unreachable(), unreachable(), expired(), expired()] });
  await using _ = gate;
  await gate.askFirst(new AbortController().signal, 10_000);
  await expect.poll(() => turns).toEqual(['closed', 'open']);
  expect(log.named('paused').map(({ fields }) => fields['error'])).toEqual(['no answer', 'ExpiredToken']);
});

test('at start, a refusal is thrown; no answer in time closes the gate; a stop just ends the question', async () => {
  const refused = open({ answers: [expired()] });
  await using _refused = refused.gate;
  await expect(refused.gate.askFirst(new AbortController().signal, 10_000)).rejects.toThrow('ExpiredToken');
  expect(refused.turns).toEqual([]);

  const silent = open({ ask: never });
  await using _silent = silent.gate;
  await silent.gate.askFirst(new AbortController().signal, 20);
  expect(silent.turns).toEqual(['closed']);
  expect(silent.log.named('paused')).toMatchObject([{ level: 'warning' }]);

  const stopped = open({ ask: never });
  await stopped.gate.askFirst(AbortSignal.abort(), 10_000);
  expect(stopped.turns).toEqual([]);
});

test('when something was mended it asks at once', async () => {
  const { gate, turns } = open({ delayMs: () => 3_600_000 });
  await using _ = gate;
  gate.report(expired(), file('a'));
  expect(gate.outage()?.nextTryAt.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
  gate.askSoon();
  await expect.poll(() => turns).toEqual(['closed', 'open']);
});

test('a key that a policy denies pauses everybody once, not again and again', async () => {
  const { gate, said, turns } = open();
  await using _ = gate;
  const denied = () => gate.report(new CredentialsError('AccessDenied'), file('denied/a'));
  expect(denied()).toBe(true);
  await expect.poll(() => turns).toEqual(['closed', 'open']);
  for (let attempt = 0; attempt < 20; attempt += 1) {
    expect(denied()).toBe(false);
    expect(gate.report(new ConfigError('501'), file(`denied/${attempt}`))).toBe(false);
    await new Promise(setImmediate);
  }
  expect(said()).toEqual(['paused', 'resumed']);
});

test('many keys that a policy denies, reported in any order, pause everybody once', async () => {
  const { gate, said } = open();
  await using _ = gate;
  const denied = (name: string) => gate.report(new CredentialsError('AccessDenied'), file(name));
  for (const name of ['a', 'b', 'c']) denied(name);
  await expect.poll(said).toEqual(['paused', 'resumed']);
  for (const name of ['b', 'c', 'a', 'd']) expect(denied(name)).toBe(false);
  expect(said()).toEqual(['paused', 'resumed']);
});

test('where some keys alone are denied, credentials that end are noticed all the same', async () => {
  const answers: unknown[] = [];
  const { gate, said, turns } = open({ answers });
  await using _ = gate;
  const denied = () => gate.report(new CredentialsError('AccessDenied'), file('denied'));
  denied();
  await expect.poll(() => turns).toEqual(['closed', 'open']);
  answers.push(expired(), expired());
  denied();
  await expect.poll(() => turns).toEqual(['closed', 'open', 'closed', 'open']);
  expect(said()).toEqual(['paused', 'resumed', 'paused', 'resumed']);
});

test('it ends while it waits, while it asks, and while it is open', async () => {
  const waiting = open({ delayMs: () => 3_600_000 });
  waiting.gate.report(expired(), file('a'));
  const asking = open({
    ask: (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  asking.gate.report(expired(), file('a'));
  await new Promise((resolve) => setTimeout(resolve, 10));
  for (const { gate } of [waiting, asking, open()]) await gate[Symbol.asyncDispose]();
  expect(waiting.gate.report(expired(), file('b'))).toBe(true);
  expect(waiting.said()).toEqual(['paused']);
});
