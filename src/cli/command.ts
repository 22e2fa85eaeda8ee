import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { UsageError } from '../service/errors.ts';
import type { RuntimeMessages } from '../service/log-runtime.ts';

/** The process, as far as commands need it; `main.ts` gives the real one. */
export interface Surroundings {
  /** The real one: an instance's places and the demo's keys are written into it, for the SDK reads no other. */
  readonly env: Record<string, string | undefined>;
  readonly pid: number;
  /** Opened by the first call: only a command that reads keys has to do with it. */
  stdin(): NodeJS.ReadStream;
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

/** What stands behind the options, such as a file. */
export interface Operands {
  /** As the usage line shows them: `ID`, `[FILE…]`. */
  readonly usage: string;
  readonly least: number;
  readonly most: number;
}

export interface Command {
  /** What `--help` says beyond the summary and the options. */
  readonly details?: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** None where it is absent. */
  readonly operands?: Operands;
  /** Resolves with the exit code; the kinds of `service/errors.ts` are told to the user by the caller. */
  run(given: GivenOptions, around: Surroundings, operands: readonly string[]): Promise<number>;
}

/** A command by its name, loaded when it is asked for: the daemon needs nothing of the demo's. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command | CommandGroup>;
}

/** A name with further commands behind it: `ledger list`. */
export interface CommandGroup {
  readonly details?: string;
  readonly commands: readonly CommandEntry[];
}

export type GivenOptions = Readonly<Record<string, string | boolean | undefined>>;

/** Shared by all commands that read the configuration. */
export const configOption = {
  config: { value: 'FILE', describe: 'the configuration', default: '/etc/dropledger/config.json' },
} as const satisfies Record<string, CommandOption>;

/** Shared by those that log in to the ledger as somebody else than the daemon. */
export const passwordFileOption = {
  'password-file': { value: 'FILE', describe: "that user's password, whatever ledger.auth says" },
} as const satisfies Record<string, CommandOption>;

/** The value of an option that takes one. */
export const textOf = (given: GivenOptions, name: string): string | undefined => {
  const value = given[name];
  return typeof value === 'string' ? value : undefined;
};

/**
 * Reads the command line of one command.
 * @throws UsageError for an option it does not know, one without its value, too few operands or too many.
 */
export function readArguments(
  name: string,
  command: Command,
  args: readonly string[],
): { given: GivenOptions; operands: readonly string[] } {
  const options: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } };
  for (const [name, option] of Object.entries(command.options)) {
    options[name] = option.value === undefined ? { type: 'boolean' } : { type: 'string' };
  }
  const hint = `dropledger ${name} --help`;
  try {
    const allowPositionals = command.operands !== undefined;
    const { values, positionals } = parseArgs({ args: [...args], options, strict: true, allowPositionals });
    const { usage = '', least = 0, most = 0 } = command.operands ?? {};
    if (values['help'] !== true && (positionals.length < least || positionals.length > most))
      throw new UsageError(`expected ${usage}, got ${positionals.length === 0 ? 'nothing' : positionals.join(' ')}`, {
        hint,
      });
    const defaults = Object.entries(command.options).map(([name, option]) => [name, option.default]);
    return { given: { ...Object.fromEntries(defaults), ...values } as GivenOptions, operands: positionals };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const [first = ''] = (error as Error).message.split('. ');
    throw new UsageError(first, { hint });
  }
}

export function helpOf(
  { name, summary }: { name: string; summary: string },
  { details, options, operands }: Command,
): string {
  const rows = Object.entries({ ...options, help: { describe: 'this text' } satisfies CommandOption }).map(
    ([option, { value, describe, default: preset }]: [string, CommandOption]): [string, string] => [
      `--${option}${value === undefined ? '' : ` ${value}`}`,
      preset === undefined ? describe : `${describe} (default ${preset})`,
    ],
  );
  const usage = ['Usage: dropledger', name, operands?.usage, '[options]']
    .filter((word) => word !== undefined)
    .join(' ');
  const parts = [usage, `${capital(summary)}.`, details, `Options:\n${table(rows)}`];
  return `${parts.filter((part) => part !== undefined).join('\n\n')}\n`;
}

export function groupHelpOf(
  { name, summary }: { name: string; summary: string },
  { details, commands }: CommandGroup,
): string {
  const list = `Commands:\n${table(commands.map((entry) => [entry.name, entry.summary]))}`;
  const more = `dropledger ${name} COMMAND --help tells more.`;
  const parts = [`Usage: dropledger ${name} COMMAND [options]`, `${capital(summary)}.`, details, list, more];
  return `${parts.filter((part) => part !== undefined).join('\n\n')}\n`;
}

/** Two aligned columns, indented. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
