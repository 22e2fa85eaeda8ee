import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { UsageError } from '../service/errors.ts';
import type { RuntimeMessages } from '../service/log-runtime.ts';

/** The process, as far as commands need it: `main.ts` alone touches the real one. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly runtime: RuntimeMessages;
  onSignal(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP', listener: () => void): void;
}

/** An option as `--help` shows it; `value` is the placeholder of its argument, absent for a switch. */
export interface CommandOption {
  readonly value?: string;
  readonly describe: string;
  readonly default?: string;
}

export interface Command {
  /** What `--help` says beyond the summary and the options. */
  readonly details?: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Resolves with the exit code; the kinds of `service/errors.ts` are told to the user by the caller. */
  run(given: GivenOptions, around: Surroundings): Promise<number>;
}

export type GivenOptions = Readonly<Record<string, string | boolean | undefined>>;

/** Shared by all commands that read the configuration. */
export const configOption = {
  config: { value: 'FILE', describe: 'the configuration', default: '/etc/dropledger/config.json' },
} as const satisfies Record<string, CommandOption>;

/** The value of an option that takes one. */
export const textOf = (given: GivenOptions, name: string): string | undefined => {
  const value = given[name];
  return typeof value === 'string' ? value : undefined;
};

/**
 * Reads the command line of one command.
 * @throws UsageError for an option it does not know, one without its value, or a stray argument.
 */
export function readOptions(name: string, command: Command, args: readonly string[]): GivenOptions {
  const options: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } };
  for (const [name, option] of Object.entries(command.options)) {
    options[name] = option.value === undefined ? { type: 'boolean' } : { type: 'string' };
  }
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    const defaults = Object.entries(command.options).map(([name, option]) => [name, option.default]);
    return { ...Object.fromEntries(defaults), ...values } as GivenOptions;
  } catch (error) {
    const [first = ''] = (error as Error).message.split('. ');
    throw new UsageError(first, { hint: `dropledger ${name} --help` });
  }
}

export function helpOf({ name, summary }: { name: string; summary: string }, { details, options }: Command): string {
  const rows = Object.entries({ ...options, help: { describe: 'this text' } satisfies CommandOption }).map(
    ([option, { value, describe, default: preset }]: [string, CommandOption]): [string, string] => [
      `--${option}${value === undefined ? '' : ` ${value}`}`,
      preset === undefined ? describe : `${describe} (default ${preset})`,
    ],
  );
  const parts = [`Usage: dropledger ${name} [options]`, `${capital(summary)}.`, details, `Options:\n${table(rows)}`];
  return `${parts.filter((part) => part !== undefined).join('\n\n')}\n`;
}

/** Two aligned columns, indented. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
