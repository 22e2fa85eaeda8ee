/** `dropledger run` as a real process, with its journal as it writes it. */
import { createInterface } from 'node:readline';
import type { EventName } from '../../src/model.ts';
import { type Environment, type Exit, spawnProgram } from './daemon-program.ts';

/** A line of the journal. */
export interface LogLine {
  readonly time: string;
  readonly level: 'debug' | 'info' | 'warning' | 'error';
  readonly event: EventName | 'debug';
  readonly message?: string;
  readonly [field: string]: unknown;
}

/** Fields that a line must have, or what else is asked of it. */
export type LineMatch = Readonly<Record<string, unknown>> | ((line: LogLine) => boolean);

export interface Daemon extends AsyncDisposable {
  readonly pid: number;
  /** So far, in order. */
  readonly lines: readonly LogLine[];
  readonly exited: Promise<Exit>;
  /** Lines so far with this event word. */
  named(event: EventName): LogLine[];
  /** The `nth` (1 is the first) line that matches, among those there are and those to come. */
  waitFor(event: EventName, match?: LineMatch, nth?: number): Promise<LogLine>;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, and the wait for its end. */
  kill(): Promise<void>;
  /** Both streams, as they came. */
  output(): string;
}

export interface DaemonOptions {
  /** The configuration file. */
  readonly config: string;
  readonly env: Environment;
  /** A command that becomes the program, such as `unshare`. */
  readonly through?: readonly string[] | undefined;
}

/** Far more than anything here takes: what does not come by then does not come. */
const patienceMs = 45_000;

/**
 * Disposal kills it if it still runs, and throws where one of its lines was not JSON.
 */
export function startDaemon({ config, env, through }: DaemonOptions): Daemon {
  const { process: child, exited } = spawnProgram(['run', '--config', config], env, through);
  const lines: LogLine[] = [];
  const strays: string[] = [];
  const raw: string[] = [];
  const watchers = new Set<() => void>();
  let hasExited = false;

  const take = (text: string): void => {
    raw.push(text);
    const line = parseLine(text);
    if (line === undefined) strays.push(text);
    else lines.push(line);
    for (const watch of watchers) watch();
  };
  createInterface(child.stdout).on('line', take);
  createInterface(child.stderr).on('line', take);
  void exited
    .catch(() => {})
    .then(() => {
      hasExited = true;
      for (const watch of watchers) watch();
    });

  const journalTail = () => raw.slice(-25).join('\n');

  async function waitFor(event: EventName, match: LineMatch = {}, nth = 1): Promise<LogLine> {
    const found = () => lines.filter((line) => line.event === event && matches(line, match))[nth - 1];
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>();
    const wanted = `${event} ${typeof match === 'function' ? match : JSON.stringify(match)}`;
    const giveUp = (why: string) => reject(new Error(`${why} without: ${wanted}\n${journalTail()}`));
    const look = () => {
      const line = found();
      if (line !== undefined) resolve(line);
      else if (hasExited) giveUp('the daemon ended');
    };
    const timer = setTimeout(() => giveUp(`${patienceMs / 1000} s went by`), patienceMs);
    watchers.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      watchers.delete(look);
    }
  }

  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };

  return {
    get pid() {
      return child.pid ?? 0;
    },
    lines,
    exited,
    named: (event) => lines.filter((line) => line.event === event),
    waitFor,
    signal: (signal) => void child.kill(signal),
    kill,
    output: () => raw.join('\n'),
    async [Symbol.asyncDispose]() {
      await kill();
      if (strays.length > 0) throw new Error(`lines that are not JSON:\n${strays.join('\n')}`);
    },
  };
}

function parseLine(text: string): LogLine | undefined {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return undefined;
  }
}

function matches(line: LogLine, match: LineMatch): boolean {
  if (typeof match === 'function') return match(line);
  return Object.entries(match).every(([name, value]) =>
    value instanceof RegExp ? value.test(String(line[name])) : line[name] === value,
  );
}
