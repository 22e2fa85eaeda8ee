import { unlink } from 'node:fs/promises';
import { DgramSocket } from 'node-unix-socket';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openJournald } from '../../../src/service/journald.ts';
import type { LogRecord } from '../../../src/service/log-format.ts';
import { type TempFolder, tempFolder } from '../../support/temp-folder.ts';

let folder: TempFolder;
let journal: ReturnType<typeof listen>;
beforeEach(async () => {
  folder = await tempFolder();
  journal = listen(folder.at('socket'));
});
afterEach(async () => {
  journal.close();
  await folder[Symbol.asyncDispose]();
});

/** In place of journald: keeps the entries that come in, as fields. */
function listen(path: string) {
  const entries: Record<string, string>[] = [];
  const socket = new DgramSocket();
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => void entries.push(fieldsOf(bytes)));
  socket.bind(path);
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  return { entries, close };
}

/** By the protocol: `NAME=value`, or the name alone, 8 bytes of length, the value. */
function fieldsOf(bytes: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\n', at);
    const line = bytes.toString('utf8', at, end);
    const equals = line.indexOf('=');
    if (equals === -1) {
      const length = Number(bytes.readBigUInt64LE(end + 1));
      fields[line] = bytes.toString('utf8', end + 9, end + 9 + length);
      at = end + 9 + length + 1;
    } else {
      fields[line.slice(0, equals)] = line.slice(equals + 1);
      at = end + 1;
    }
  }
  return fields;
}

const record = (fields: LogRecord['fields'], level: LogRecord['level'] = 'info'): LogRecord => ({
  ...{ time: new Date(), level, event: 'uploaded', message: undefined, fields },
});
const neverOtherwise = (line: string) => {
  throw new Error(`not sent: ${line}`);
};
const open = () => openJournald({ socketPath: folder.at('socket'), identifier: 'dropledger' });

test('a line comes with its priority and the fields that people look for', async () => {
  await using journald = await open();
  journald?.take(record({ path: 'a b.txt', key: 'in/a b.txt', id: 'the id', bytes: 3 }), 'uploaded …', neverOtherwise);
  await vi.waitFor(() => expect(journal.entries).toHaveLength(1));
  expect(journal.entries[0]).toEqual({
    MESSAGE: 'uploaded …',
    PRIORITY: '6',
    SYSLOG_FACILITY: '3',
    SYSLOG_IDENTIFIER: 'dropledger',
    DROPLEDGER_EVENT: 'uploaded',
    DROPLEDGER_PATH: 'a b.txt',
    DROPLEDGER_KEY: 'in/a b.txt',
    DROPLEDGER_ID: 'the id',
  });
});

test.each([
  ['error', '3'],
  ['warning', '4'],
  ['debug', '7'],
] as const)('%s is priority %s', async (level, priority) => {
  await using journald = await open();
  journald?.take(record({}, level), 'text', neverOtherwise);
  await vi.waitFor(() => expect(journal.entries[0]?.['PRIORITY']).toBe(priority));
});

test('no name of a file can bring a field of its own', async () => {
  await using journald = await open();
  const path = 'x\nPRIORITY=0\nMESSAGE=forged\n';
  journald?.take(record({ path, id: 'a=b' }), 'text', neverOtherwise);
  await vi.waitFor(() => expect(journal.entries).toHaveLength(1));
  expect(journal.entries[0]).toMatchObject({
    MESSAGE: 'text',
    PRIORITY: '6',
    DROPLEDGER_PATH: path,
    DROPLEDGER_ID: 'a=b',
  });
});

test('of ten thousand lines each one comes, by one way or the other', async () => {
  await using journald = await open();
  const otherwise: string[] = [];
  for (let line = 0; line < 10_000; line += 1) {
    const isTaken = journald?.take(record({ path: `${line}` }), `${line}`, (text) => otherwise.push(text.slice(3)));
    if (!isTaken) otherwise.push(`${line}`);
    if (line % 100 === 0) await new Promise(setImmediate);
  }
  await vi.waitFor(() => expect(journal.entries.length + otherwise.length).toBe(10_000));
  const all = new Set([...journal.entries.map((entry) => entry['MESSAGE']), ...otherwise]);
  expect(all.size).toBe(10_000);
});

test('where journald goes away, lines go the way of all lines', async () => {
  await using journald = await open();
  journal.close();
  await unlink(folder.at('socket'));
  const otherwise: string[] = [];
  const take = () => journald?.take(record({}), 'text', (line) => otherwise.push(line)) ?? false;
  const taken = take();
  await vi.waitFor(() => expect(otherwise.length === 1 || !taken).toBe(true));
  if (taken) expect(otherwise).toEqual(['<6>text']);
});

test('where there is no journald, there is none to take anything; and after its end it takes nothing', async () => {
  expect(await openJournald({ socketPath: folder.at('nowhere'), identifier: 'x' })).toBeUndefined();
  const journald = await open();
  await journald?.[Symbol.asyncDispose]();
  expect(journald?.take(record({}), 'text', neverOtherwise)).toBe(false);
});
