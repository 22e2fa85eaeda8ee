import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalFailure } from '../service/errors.ts';
import type { UnprivilegedUser } from './postgres-binaries.ts';

export interface ServerOptions {
  /** The folder with `postgres`. */
  readonly bin: string;
  /** The data directory, made by `initdb`. */
  readonly data: string;
  readonly user: UnprivilegedUser | undefined;
  /** Server settings, as in postgresql.conf. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** To be removed when the server stops because this process has ended, however that was. */
  readonly removeWhenOrphaned: string | undefined;
}

/** `immediate` is the crash: no goodbye to anyone, and recovery at the next start. */
type StopMode = 'fast' | 'immediate';

export interface Server {
  start(): Promise<void>;
  stop(mode?: StopMode): Promise<void>;
}

/**
 * Postgres runs beside a shell that reads from a pipe we hold. The signal to stop it with comes down that pipe; the
 * end of the pipe, which even SIGKILL can't prevent, stops it as well. `$0` is the folder to be removed in that case.
 * TERM is ignored once the pipe has spoken, so that the status of `read` (1: end of the pipe) is not lost.
 */
const guard = `
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
( read -r signal <&3; ended=$?; trap '' TERM; kill -"\${signal:-INT}" $server; exit $ended ) &
listener=$!
wait $server; status=$?
kill $listener 2>/dev/null
wait $listener
[ $? -eq 1 ] && [ -n "$0" ] && rm -rf -- "$0"
exit $status
`;

type Guard = ChildProcessByStdio<Writable, null, Readable>;

const signals = { fast: 'INT', immediate: 'QUIT' } as const;
const keptLogLines = 20;

/** One `postgres` on one data directory, not yet started. */
export function createServer(options: ServerOptions): Server {
  let running: { readonly process: Guard; readonly exited: Promise<void> } | undefined;

  return {
    async start() {
      if (running !== undefined) return;
      await stopLeftover(options.data);
      const process = launch(options);
      const exited = new Promise<void>((resolve) => process.once('close', () => resolve()));
      running = { process, exited };
      void exited.then(() => {
        if (running?.process === process) running = undefined;
      });
      await readiness(process);
    },
    async stop(mode = 'fast') {
      if (running === undefined) return;
      const { process, exited } = running;
      process.stdin.end(`${signals[mode]}\n`);
      await exited;
    },
  };
}

function launch({ bin, data, user, settings, removeWhenOrphaned = '' }: ServerOptions): Guard {
  const set = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const process = spawn('/bin/sh', ['-c', guard, removeWhenOrphaned, join(bin, 'postgres'), '-D', data, ...set], {
    ...surroundings(user),
    detached: true, // Ctrl-C is for us: the server is to live until we have finished.
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  process.stdin.on('error', () => {}); // EPIPE: it has stopped by itself.
  return process;
}

/** What Postgres's programs get of our surroundings: no environment of ours, PG* variables least of all. */
export function surroundings(user: UnprivilegedUser | undefined) {
  return { cwd: '/', env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }, ...user };
}

/** Resolves when the server takes connections. */
function readiness(process: Guard): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const log: string[] = [];
  process.stderr.setEncoding('utf8').on('data', (text: string) => {
    log.push(...text.split('\n').filter((line) => line !== ''));
    log.splice(0, log.length - keptLogLines);
    if (text.includes('ready to accept connections')) resolve();
  });
  process.once('error', reject);
  process.once('close', () => reject(new LocalFailure(`PostgreSQL did not start: ${log.join(' / ')}`)));
  return promise;
}

/** Stops a server that an earlier process left on this data directory, should both its guards have been killed. */
async function stopLeftover(data: string): Promise<void> {
  const pid = leftoverPid(data);
  if (pid === undefined) return;
  process.kill(pid, 'SIGQUIT');
  while (leftoverPid(data) !== undefined) await sleep(20);
  rmSync(join(data, 'postmaster.pid'), { force: true });
}

/** A server works in its data directory; any other process of that number is none. */
function leftoverPid(data: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
    return readlinkSync(`/proc/${pid}/cwd`) === data ? pid : undefined;
  } catch {
    return undefined;
  }
}
