import { fstatSync } from 'node:fs';
import { pino, symbols } from 'pino';
import type { EventFields, EventLog, EventName } from '../model.ts';
import type { Journald } from './journald.ts';
import { safeContent } from './log-fields.ts';
import {
  escapeUnsafe,
  formatLogfmt,
  formatPretty,
  formatText,
  type LogLevel,
  type LogRecord,
  priorityPrefix,
} from './log-format.ts';
import { createLogOutput } from './log-output.ts';

export type { LogLevel } from './log-format.ts';
export type LogFormat = 'auto' | 'text' | 'json';

/** Where the lines go. */
export interface LogDestination {
  readonly fd: number;
  readonly kind: 'terminal' | 'journal' | 'other';
  /** Whether a terminal gets colours. */
  readonly colours: boolean;
}

/** The log, and what its owner does with it. */
export interface Logger extends EventLog {
  /** From now on; for a reload. */
  setLevel(level: LogLevel): void;
  /** Writes at once what still waits for the end of the event loop's turn: for the exit. */
  flush(): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What stands behind a descriptor: journald says by JOURNAL_STREAM which device and inode it reads. */
export function describeDestination(fd: number, isTerminal: boolean, env: Environment): LogDestination {
  const colours = !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  if (isTerminal) return { fd, kind: 'terminal', colours };
  return { fd, kind: readsJournal(fd, env['JOURNAL_STREAM']) ? 'journal' : 'other', colours: false };
}

function readsJournal(fd: number, journalStream: string | undefined): boolean {
  if (!journalStream) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return journalStream === `${dev}:${ino}`;
  } catch {
    return false; // the descriptor is closed
  }
}

/** How a record, which pino has already made JSON of, becomes the text of its line. */
function formatFor(format: LogFormat, { kind, colours }: LogDestination): (record: LogRecord, json: string) => string {
  const asJson = (_record: LogRecord, json: string): string => escapeUnsafe(json.trimEnd());
  if (kind === 'journal' && format !== 'json') return formatLogfmt;
  if (format === 'text') return formatText;
  return format === 'auto' && kind === 'terminal' ? (record) => formatPretty(record, colours) : asJson;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly destination: LogDestination;
  /** Takes lines with their fields; what it does not take goes to the destination. */
  readonly journald?: Pick<Journald, 'take' | 'giveBack'> | undefined;
}

/**
 * The log of the whole program, one line a fact. `auto` is pretty on a terminal, `<priority>` logfmt under journald
 * and JSON elsewhere; `text` is logfmt wherever it goes, `json` is JSON.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { journald, destination } = options;
  const output = createLogOutput(destination.fd, (lines) =>
    log('warning', 'warning', { lines }, 'log lines were lost, they could not be written'),
  );
  const lineOf = formatFor(options.format, destination);
  // journald takes the priority off again: what it stores, and what anyone reads, is the line.
  const prefixOf = destination.kind === 'journal' ? priorityPrefix : () => '';
  const stream: DestinationStreamWithRecord = {
    [symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    lastObj: { event: '' },
    lastMsg: undefined,
    write(json) {
      const { event, ...fields } = this.lastObj;
      const level = out.levels.labels[this.lastLevel] as LogLevel;
      const record = { time: new Date(), level, event, message: this.lastMsg, fields };
      const text = lineOf(record, json);
      if (journald?.take(record, text, output.write) !== true) output.write(prefixOf(record) + text);
    },
  };
  const out = pino(
    {
      level: options.level,
      customLevels: { debug: 20, info: 30, warning: 40, error: 50 },
      useOnlyCustomLevels: true,
      base: null,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    stream,
  );

  function log(level: LogLevel, event: EventName | 'debug', fields: EventFields, message?: string): void {
    if (!out.isLevelEnabled(level)) return;
    const content = safeContent(fields, message);
    out[level]({ event, ...content.fields }, content.message);
  }

  return {
    info: (event, fields, message) => log('info', event, fields, message),
    warning: (event, fields, message) => log('warning', event, fields, message),
    error: (event, fields, message) => log('error', event, fields, message),
    debug: (message, fields = {}) => log('debug', 'debug', fields, message),
    setLevel(level) {
      out.level = level;
    },
    flush() {
      journald?.giveBack();
      output.flush();
    },
  };
}

/** With the symbol set, pino leaves the parts of each line beside it: the formats that are not JSON are made of them. */
interface DestinationStreamWithRecord {
  [symbols.needsMetadataGsym]: true;
  lastLevel: number;
  lastObj: EventFields & { event: string };
  lastMsg: string | undefined;
  write(json: string): void;
}
