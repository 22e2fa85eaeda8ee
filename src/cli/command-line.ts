import { DropledgerError, exitCode, UsageError } from '../service/errors.ts';
import { describeError } from '../service/log-error.ts';
import { version } from '../service/version.ts';
import { check } from './check.ts';
import { type Command, helpOf, readOptions, type Surroundings, table } from './command.ts';
import { demo } from './demo.ts';
import { migrate } from './migrate.ts';
import { run } from './run.ts';

const commands: readonly Command[] = [run, check, migrate, demo];

/** Runs what the command line asks for; resolves with the exit code, and says on stderr what went wrong. */
export async function runCommandLine(args: readonly string[], around: Surroundings): Promise<number> {
  try {
    return await dispatch(args, around);
  } catch (error) {
    const hint = error instanceof DropledgerError ? error.hint : undefined;
    around.stderr.write(`dropledger: ${describeMultiline(error)}\n${hint === undefined ? '' : `  → ${hint}\n`}`);
    return error instanceof DropledgerError ? error.exitCode : exitCode.failed;
  }
}

async function dispatch([name, ...args]: readonly string[], around: Surroundings): Promise<number> {
  if (name === undefined) throw new UsageError('no command given', { hint: 'dropledger --help' });
  if (name === '--version' || name === '-V') return say(around, `dropledger ${version}\n`);
  if (name === '--help' || name === '-h' || name === 'help') return say(around, overview());
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined)
    throw new UsageError(`there is no command ${JSON.stringify(name)}`, { hint: 'dropledger --help' });
  const given = readOptions(command, args);
  if (given['help'] === true) return say(around, helpOf(command));
  return command.run(given, around);
}

function say(around: Surroundings, text: string): number {
  around.stdout.write(text);
  return exitCode.fine;
}

const overview = () => `Usage: dropledger COMMAND [options]

Files dropped into a folder get into S3, for certain, and a ledger in Postgres proves it.

Commands:
${table(commands.map(({ name, summary }) => [name, summary]))}

dropledger COMMAND --help tells more. Exit codes:
${table([
  ['0', 'fine'],
  ['1', 'failed'],
  ['64', 'the command line is wrong'],
  ['69', 'a needed service cannot be reached'],
  ['77', 'credentials missing, refused or expired'],
  ['78', 'the configuration is wrong'],
])}
`;

/** A list of problems keeps its lines; all else is one line with its causes. */
const describeMultiline = (error: unknown): string =>
  error instanceof Error && error.message.includes('\n') ? error.message : describeError(error);
