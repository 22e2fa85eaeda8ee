import type { EventFields } from '../model.ts';

/** The levels, each with its syslog priority: `journalctl -p err` shows what needs a person. */
export const priorityOf = { error: 3, warning: 4, info: 6, debug: 7 } as const;
export type LogLevel = keyof typeof priorityOf;

/** One fact to be written as one line. Names of `fields` are safe; their values are anything. */
export interface LogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  readonly event: string;
  readonly message: string | undefined;
  readonly fields: EventFields;
}

/**
 * Characters that no line shows as they are, because they could break it, colour it, turn it around or hide in it:
 * controls, format characters (bidi overrides, zero-width ones, tags), lone surrogates, unassigned and private ones,
 * every space but U+0020, and the letters that look like nothing.
 */
const unsafe = /[[\p{C}\p{Z}\u115F\u1160\u2800\u3164\uFFA0]--[ ]]/gv;
const plainAscii = /^[\x20-\x7E]*$/;

const asUnits = (text: string): string => {
  let out = '';
  for (let at = 0; at < text.length; at += 1) out += `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return out;
};

/** A JSON text with every unsafe character in it as `\uNNNN`: it parses to the same value. */
export const escapeUnsafe = (json: string): string => (plainAscii.test(json) ? json : json.replace(unsafe, asUnits));

/** As a JSON string with every unsafe character escaped: `JSON.parse` gives the text back. */
const quoted = (text: string): string => escapeUnsafe(JSON.stringify(text));

const isSafe = (text: string): boolean => text !== '' && (plainAscii.test(text) || text.search(unsafe) === -1);

/** A logfmt value: bare where it can't be mistaken for anything else (`\xNN` of a name stays readable), else quoted. */
const valueText = (value: string | number | boolean): string =>
  typeof value !== 'string' || (!/[\s"=]/.test(value) && isSafe(value)) ? String(value) : quoted(value);

/** A message has no `=` and no quote unless it is quoted as a whole: it can't be taken for fields. */
const messageText = (message: string): string => (!/["=]/.test(message) && isSafe(message) ? message : quoted(message));

const present = (fields: EventFields): [name: string, value: string | number | boolean][] =>
  Object.entries(fields).flatMap(([name, value]) => (value === undefined || value === null ? [] : [[name, value]]));

/** `uploaded path="a b.txt" bytes=12`: the event word, the message if there is one, the fields. Absent values are left out. */
export function formatLogfmt({ event, message, fields }: LogRecord): string {
  let line = event;
  if (message !== undefined) line += ` ${messageText(message)}`;
  for (const [name, value] of present(fields)) line += ` ${name}=${valueText(value)}`;
  return line;
}

/** What journald reads the priority from, and takes off: sd-daemon(3). */
export const priorityPrefix = ({ level }: LogRecord): string => `<${priorityOf[level]}>`;

/** For a plain file or pipe: the same line, with what journald would have known at its end. */
export const formatText = (record: LogRecord): string =>
  `${formatLogfmt(record)} level=${record.level} time=${record.time.toISOString()}`;

const colourOf: Record<LogLevel, string> = { error: '31', warning: '33', info: '32', debug: '2' };
const eventColumns = 13;

/**
 * For a person at a terminal: local time, the event in its level's colour, the file, the message, the other fields,
 * and on a line of its own what to do. A sha256 shows its first 12 digits, so that most lines fit.
 */
export function formatPretty({ time, level, event, message, fields }: LogRecord, colours: boolean): string {
  const paint = (code: string, text: string): string => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
  const { path, hint, ...rest } = fields;
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((n) => String(n).padStart(2, '0'))
    .join(':');
  const parts = [paint('2', clock), paint(colourOf[level], event.padEnd(eventColumns))];
  if (path !== undefined && path !== null) parts.push(paint('1', valueText(path)));
  if (message !== undefined) parts.push(messageText(message));
  for (const [name, value] of present(rest)) {
    const short = name === 'sha256' && typeof value === 'string' && value.length === 64;
    parts.push(paint('2', `${name}=`) + (short ? `${value.slice(0, 12)}…` : valueText(value)));
  }
  const line = parts.join(' ').trimEnd();
  if (hint === undefined || hint === null) return line;
  return `${line}\n${' '.repeat(clock.length + 1)}${paint('36', `↳ ${messageText(String(hint))}`)}`;
}
