import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** The program as users start it: the launcher, which becomes Node. */
export const program = fileURLToPath(new URL('../../bin/dropledger.js', import.meta.url));

/** Where V8 keeps what it compiled: halves the CPU time of a start, of which the suite has many. */
const compileCache = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));

export type Environment = Readonly<Record<string, string>>;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProgram {
  readonly process: ChildProcessByStdio<null, Readable, Readable>;
  /** Once both streams have ended as well. */
  readonly exited: Promise<Exit>;
}

/**
 * Starts it with this environment and nothing of ours. The kernel kills it when this process ends, however that was:
 * `setpriv` asks for that, and what it becomes (same pid) keeps it. `through` is a command that becomes the one it is
 * given, such as `unshare`.
 */
export function spawnProgram(
  args: readonly string[],
  env: Environment,
  through: readonly string[] = [],
): RunningProgram {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...through, program, ...args], {
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { promise, resolve, reject } = Promise.withResolvers<Exit>();
  child.once('error', reject);
  child.once('close', (code, signal) => resolve({ code, signal }));
  promise.catch(() => {}); // whoever waits for it is told
  return { process: child, exited: promise };
}

/** Runs a command to its end. */
export async function runProgram(args: readonly string[], env: Environment = {}) {
  const { process: child, exited } = spawnProgram(args, env);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const { code, signal } = await exited;
  return { code: code ?? signal, ...output };
}
