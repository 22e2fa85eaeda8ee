import { format } from 'node:util';
import type { EventFields } from '../model.ts';
import { exitCode } from './errors.ts';
import { errorFields } from './log-error.ts';
import type { Logger } from './logger.ts';

/** The part of `process` that speaks for the runtime. */
export interface RuntimeMessages {
  on(event: 'warning', listener: (warning: Error) => void): unknown;
  on(event: 'uncaughtException', listener: (error: unknown) => void): unknown;
  on(event: 'exit', listener: () => void): unknown;
  removeAllListeners(event: 'warning' | 'uncaughtException'): unknown;
  exit(code: number): void;
}

/** Its methods are replaced. */
export type LibraryConsole = Record<'error' | 'warn' | 'info' | 'log' | 'debug', (...values: unknown[]) => void>;

/** Where an error was thrown, innermost first, in one line: for a defect, the place is what a report needs. */
const stackOf = (error: unknown): string | undefined =>
  error instanceof Error ? error.stack?.match(/(?<=^ *at ).+$/gm)?.join(' < ') : undefined;

/**
 * Brings into the log what others would print: Node its warnings and the message of a crash (an unhandled rejection
 * becomes an uncaught exception by Node's default). A crash ends the process with 1, so that systemd starts it again:
 * after an error that nobody expected, nothing in memory can be trusted; the journal on disk can.
 * Libraries what they tell the console: we ourselves write nothing there. (What Node prints from C++ as it aborts, out of
 * memory for one, can't be caught.)
 */
export function logRuntimeMessages(
  runtime: RuntimeMessages,
  log: Logger,
  libraryConsole: LibraryConsole = console,
): void {
  // Node's own, which prints to stderr, and those of a call before this one: the last log given has them all.
  runtime.removeAllListeners('warning');
  runtime.removeAllListeners('uncaughtException');
  runtime.on('warning', (warning) => {
    const { code } = warning as { code?: unknown };
    const fields: EventFields = { name: warning.name, code: typeof code === 'string' ? code : undefined };
    log.warning('warning', { ...fields, error: warning.message }, 'the runtime warns');
  });
  runtime.on('uncaughtException', (error) => {
    log.error('stopped', { ...errorFields(error), stack: stackOf(error) }, 'a defect ended dropledger');
    runtime.exit(exitCode.failed);
  });
  runtime.on('exit', () => log.flush());

  const libraryWarns = (...values: unknown[]): void =>
    log.warning('warning', { text: format(...values) }, 'a library warns');
  const librarySays = (...values: unknown[]): void => log.debug('a library says', { text: format(...values) });
  Object.assign(libraryConsole, { error: libraryWarns, warn: libraryWarns });
  Object.assign(libraryConsole, { info: librarySays, log: librarySays, debug: librarySays });
}
