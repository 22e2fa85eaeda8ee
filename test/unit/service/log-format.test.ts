import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EventFields } from '../../../src/model.ts';
import {
  escapeUnsafe,
  formatLogfmt,
  formatPretty,
  formatText,
  type LogRecord,
  priorityPrefix,
} from '../../../src/service/log-format.ts';

const record = (fields: EventFields, rest: Partial<LogRecord> = {}): LogRecord => ({
  time: new Date('2026-11-21T14:05:09.123Z'),
  level: 'info',
  event: 'uploaded',
  message: undefined,
  fields,
  ...rest,
});

const formatJournal = (one: LogRecord): string => priorityPrefix(one) + formatLogfmt(one);

/** Reads a logfmt line back, strictly by the grammar that the README gives. */
function parseLogfmt(line: string): { event: string; message: string | undefined; fields: Record<string, string> } {
  const [, event = '', quotedMessage, bareMessage, rest = ''] =
    /^(\S+)(?: ("(?:[^"\\]|\\.)*")(?= |$)| ([^="]+?)(?= [\w.-]+=|$))?((?: [\w.-]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]+))*)$/u.exec(
      line,
    ) ?? expect.fail(`not logfmt: ${line}`);
  const fields: Record<string, string> = {};
  for (const [, name = '', value = ''] of rest.matchAll(/ ([\w.-]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)/g)) {
    expect(fields).not.toHaveProperty(name);
    fields[name] = value.startsWith('"') ? JSON.parse(value) : value;
  }
  return { event, message: quotedMessage ? JSON.parse(quotedMessage) : bareMessage, fields };
}

/** Names as an attacker would choose them: made of the pieces that formats, terminals and readers react to. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...['\n', '\r', '\0', '\t', ' ', '"', '=', '\\', "'", '<3>', 'path=', 'error="x"', '\x1b[31m']),
      fc.constantFrom(...['\u2028', '\u2029', '\u0085', '\u202e', '\u2066', '\u200b', '\ufeff', '\u00a0', '\ud83d']),
      fc.constantFrom(
        ...['\x9b31m', '\x7f', '\u{e0041}', '👩‍👧', 'é', 'e\u0301', '\\xFF', '%s', 'null', '-', 'uploaded '],
      ),
      fc.string({ unit: 'binary', maxLength: 6 }),
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((pieces) => pieces.join(''));

/** Everything that breaks a line, moves a cursor, turns text around or can't be seen. */
const neverShown = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;

describe('a hostile name', () => {
  test('comes back unchanged from the line of journald, and brings no field, no line and no colour with it', () => {
    fc.assert(
      fc.property(hostileText, hostileText, fc.option(hostileText, { nil: undefined }), (path, error, message) => {
        const line = formatJournal(record({ path, bytes: 12, error }, { message }));
        expect(line).not.toMatch(neverShown);
        expect(line).toMatch(/^<6>uploaded /);
        const parsed = parseLogfmt(line.slice(3));
        expect(parsed).toStrictEqual({ event: 'uploaded', message, fields: { path, bytes: '12', error } });
      }),
      { numRuns: 2000 },
    );
  });

  test('comes back unchanged from JSON that is free of what a terminal reacts to', () => {
    fc.assert(
      fc.property(hostileText, (path) => {
        const line = escapeUnsafe(JSON.stringify({ event: 'uploaded', path }));
        expect(line).not.toMatch(neverShown);
        expect(JSON.parse(line)).toStrictEqual({ event: 'uploaded', path });
      }),
      { numRuns: 2000 },
    );
  });

  test('is one line on a terminal, in no colours but ours', () => {
    fc.assert(
      fc.property(hostileText, hostileText, (path, message) => {
        expect(formatPretty(record({ path, bytes: 12 }, { message }), false)).not.toMatch(neverShown);
        const coloured = formatPretty(record({ path, hint: path }), true);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are the subject
        expect(coloured.replaceAll(/\x1b\[(?:0|1|2|32|36)m/g, '').replace('\n', '')).not.toMatch(neverShown);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('what a person reads', () => {
  const uploaded = record({ path: 'in/a b.txt', bytes: 12, key: 'x/in/a.txt', principal: null, versionId: undefined });

  test('under journald: priority, event, message, fields; nothing for what is absent', () => {
    expect(formatJournal(uploaded)).toBe('<6>uploaded path="in/a b.txt" bytes=12 key=x/in/a.txt');
    expect(formatJournal(record({ until: 5 }, { level: 'error', event: 'paused', message: 'AWS said no' }))).toBe(
      '<3>paused AWS said no until=5',
    );
    expect(formatJournal(record({}, { level: 'warning', event: 'retrying' }))).toBe('<4>retrying');
    expect(formatJournal(record({}, { level: 'debug', event: 'debug', message: 'a=b' }))).toBe('<7>debug "a=b"');
  });

  test('a name that is not UTF-8 is as readable as the ledger has it', () => {
    expect(formatLogfmt(record({ path: 'caf\\xE9.txt' }))).toBe('uploaded path=caf\\xE9.txt');
  });

  test('in a text file: also when, and how bad', () => {
    expect(formatText(uploaded)).toMatch(/^uploaded path="in\/a b.txt" .* level=info time=2026-11-21T14:05:09.123Z$/);
  });

  test('on a terminal: the file first, a short hash, the advice on a line of its own', () => {
    const line = formatPretty(record({ bytes: 12, path: 'a b.txt', sha256: 'ab'.repeat(32), hint: 'log in' }), false);
    expect(line).toMatch(/^\d\d:\d\d:09 uploaded {6}"a b.txt" bytes=12 sha256=abababababab…\n {9}↳ log in$/);
  });
});
