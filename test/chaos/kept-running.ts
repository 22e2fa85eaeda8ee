/** The daemon, started again whenever it ends, as systemd does; and each of its ends judged. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../support/daemon.ts';
import type { Exit } from '../support/daemon-program.ts';

export interface KeptRunning extends AsyncDisposable {
  /** Each daemon that ran, in order. */
  readonly daemons: readonly Daemon[];
  /** Ends that nobody asked for. */
  readonly findings: readonly string[];
  /** Resolves when it is gone; it comes back after `downMs`. */
  end(signal: 'SIGKILL' | 'SIGTERM', downMs: number): void;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and no new start; resolves when it has ended. */
  stop(): Promise<void>;
}

export interface KeptRunningOptions {
  spawn(): Daemon;
  /** Whether the credentials are bad, or were until a moment ago: then it may refuse to start. */
  mayBeRefused(): boolean;
}

const credentialsRefused = 77;

export function keepRunning({ spawn, mayBeRefused }: KeptRunningOptions): KeptRunning {
  const daemons: Daemon[] = [];
  const findings: string[] = [];
  let current: Daemon | undefined;
  let asked: { readonly signal: NodeJS.Signals; readonly downMs: number } | undefined;
  let isStopping = false;

  const judge = (daemon: Daemon, { code, signal }: Exit): void => {
    const isFine =
      (signal === 'SIGKILL' && asked?.signal === 'SIGKILL') ||
      (asked !== undefined && code === 0) ||
      // before it had come so far as to listen to signals
      (signal === 'SIGTERM' && asked?.signal === 'SIGTERM' && daemon.named('ready').length === 0) ||
      (code === credentialsRefused && mayBeRefused());
    if (!isFine) findings.push(`the daemon ended with ${code ?? signal}:\n${daemon.output().slice(-3000)}`);
  };

  const run = async (): Promise<void> => {
    while (!isStopping) {
      asked = undefined;
      current = spawn();
      daemons.push(current);
      const exit = await current.exited;
      judge(current, exit);
      current = undefined;
      if (!isStopping) await sleep(asked === undefined ? 500 : (asked as { downMs: number }).downMs);
    }
  };
  const running = run();

  return {
    daemons,
    findings,
    end(signal, downMs) {
      if (current === undefined) return;
      if (asked?.signal !== 'SIGKILL') asked = { signal, downMs };
      current.signal(signal);
    },
    signal(signal) {
      // systemd reloads no service that is not ready: before it listens to it, SIGHUP would end the daemon
      if (signal !== 'SIGHUP' || (current?.named('ready').length ?? 0) > 0) current?.signal(signal);
    },
    async stop() {
      isStopping = true;
      asked ??= { signal: 'SIGTERM', downMs: 0 };
      current?.signal('SIGTERM');
      await running;
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      asked = { signal: 'SIGKILL', downMs: 0 };
      current?.signal('SIGKILL');
      await running;
    },
  };
}
