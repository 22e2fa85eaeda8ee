import { environmentOfInstance } from '../config/places.ts';
import { DropledgerError, exitCode, UsageError } from '../service/errors.ts';
import { describeError } from '../service/log-error.ts';
import { version } from '../service/version.ts';
import {
  type Command,
  type CommandEntry,
  type CommandGroup,
  groupHelpOf,
  helpOf,
  readArguments,
  type Surroundings,
  table,
  textOf,
} from './command.ts';

/** All of them: the manual and the shells' completions are made from this table too. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'run',
    summary: 'watch the folder, upload, record: the daemon, in the foreground (systemd runs this)',
    load: async () => (await import('./run.ts')).run,
  },
  {
    name: 'check',
    summary: 'prove that everything the daemon needs works, before it runs',
    load: async () => (await import('./check.ts')).check,
  },
  {
    name: 'migrate',
    summary: "create or upgrade the ledger's schema and its login roles",
    load: async () => (await import('./migrate.ts')).migrate,
  },
  {
    name: 'status',
    summary: 'what a running daemon is doing: transfers, queue, outages, credentials',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'explain',
    summary: 'what happened, or will happen, to one file, and why',
    load: async () => (await import('./explain.ts')).explain,
  },
  {
    name: 'retry',
    summary: 'put quarantined files back into the drop folder',
    load: async () => (await import('./retry.ts')).retry,
  },
  {
    name: 'ledger',
    summary: 'read the ledger: list, show, stats, export, report, verify-chain',
    load: async () => (await import('./ledger.ts')).ledger,
  },
  {
    name: 'verify',
    summary: 'compare ledger and bucket, both ways (needs a role that may read the bucket)',
    load: async () => (await import('./verify.ts')).verify,
  },
  {
    name: 'restore',
    summary: "download one object and prove it by the ledger's sha256 (needs a role that may read the bucket)",
    load: async () => (await import('./restore.ts')).restore,
  },
  {
    name: 'journal',
    summary: "the daemon's local memory: rebuild it from the ledger",
    load: async () => (await import('./journal.ts')).journal,
  },
  {
    name: 'policy',
    summary: 'print the least rights this configuration needs, in AWS and in the ledger',
    load: async () => (await import('./policy.ts')).policy,
  },
  {
    name: 'demo',
    summary: 'all of it on this machine, no account needed: Postgres, S3 endpoint, sample files, the ledger',
    load: async () => (await import('./demo.ts')).demo,
  },
];

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
  const entry = commands.find((candidate) => candidate.name === name);
  if (entry === undefined) {
    throw new UsageError(`there is no command ${JSON.stringify(name)}`, { hint: 'dropledger --help' });
  }
  const loaded = await entry.load();
  return 'commands' in loaded ? dispatchInGroup(entry, loaded, args, around) : runOne(entry, loaded, args, around);
}

async function dispatchInGroup(
  group: CommandEntry,
  loaded: CommandGroup,
  [name, ...args]: readonly string[],
  around: Surroundings,
): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return say(around, groupHelpOf(group, loaded));
  const hint = `dropledger ${group.name} --help`;
  const entry = loaded.commands.find((candidate) => candidate.name === name);
  if (name === undefined) throw new UsageError(`dropledger ${group.name} needs a command`, { hint });
  if (entry === undefined) {
    throw new UsageError(`there is no command ${JSON.stringify(`${group.name} ${name}`)}`, { hint });
  }
  const command = await entry.load();
  if ('commands' in command) throw new TypeError('groups have one level');
  return runOne({ ...entry, name: `${group.name} ${name}` }, command, args, around);
}

async function runOne(
  entry: CommandEntry,
  command: Command,
  args: readonly string[],
  around: Surroundings,
): Promise<number> {
  const { given, operands } = readArguments(entry.name, command, args);
  if (given['help'] === true) return say(around, helpOf(entry, command));
  // An instance's state is elsewhere. The SDK and the commands read the real environment.
  Object.assign(around.env, { ...environmentOfInstance(textOf(given, 'config') ?? ''), ...around.env });
  return command.run(given, around, operands);
}

function say(around: Surroundings, text: string): number {
  around.stdout.write(text);
  return exitCode.fine;
}

/** What each exit code means. */
export const exitCodes: readonly (readonly [string, string])[] = [
  ['0', 'fine'],
  ['1', 'failed'],
  ['64', 'the command line is wrong'],
  ['69', 'a needed service, or the daemon, cannot be reached'],
  ['77', 'credentials missing, refused or expired'],
  ['78', 'the configuration is wrong'],
];

const overview = () => `Usage: dropledger COMMAND [options]

Files dropped into a folder get into S3, for certain, and a ledger in Postgres proves it.

Commands:
${table(commands.map(({ name, summary }) => [name, summary]))}

dropledger COMMAND --help tells more. Exit codes:
${table(exitCodes)}
`;

/** A list of problems keeps its lines; all else is one line with its causes. */
const describeMultiline = (error: unknown): string =>
  error instanceof Error && error.message.includes('\n') ? error.message : describeError(error);
