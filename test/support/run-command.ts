import { PassThrough } from 'node:stream';
import { runCommandLine } from '../../src/cli/command-line.ts';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandTerminal {
  /** Columns of the terminal that stdout and stderr are to be; neither is one where it is undefined. */
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command inside this process, as `main.ts` would. */
export async function runCommand(
  args: readonly string[],
  { columns, env = {} }: CommandTerminal = {},
): Promise<CommandResult> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof written) => {
    const through = new PassThrough();
    through.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
    });
    return Object.assign(through, { isTTY: columns !== undefined, columns }) as unknown as NodeJS.WriteStream;
  };
  const code = await runCommandLine(args, {
    env: { ...process.env, ...env },
    pid: process.pid,
    stdin: () => new PassThrough() as unknown as NodeJS.ReadStream,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    runtime: new PassThrough() as never,
    onSignal() {},
  });
  await new Promise(setImmediate); // What was written last has come through.
  return { code, ...written };
}
