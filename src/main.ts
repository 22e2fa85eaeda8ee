/**
 * Hands the process to the command line: arguments, environment, signals, streams, exit code. Elsewhere only its ids are
 * asked for, and its environment passed on to a child.
 */
import { runCommandLine } from './cli/command-line.ts';

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  pid: process.pid,
  stdin: () => process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  runtime: process,
  onSignal: (signal, listener) => void process.on(signal, listener),
});
