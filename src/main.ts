/** The only file that touches the process: arguments, environment, signals, streams, exit code. */
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
