import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What systemd told us by the environment; all of it absent outside systemd. */
export interface NotifierOptions {
  /** NOTIFY_SOCKET: a path, or `@name` in the abstract namespace. */
  readonly socketPath: string | undefined;
  /** WATCHDOG_USEC and WATCHDOG_PID, as they stand there. */
  readonly watchdogUsec: string | undefined;
  readonly watchdogPid: string | undefined;
  readonly pid: number;
}

/**
 * Speaks sd_notify(3). Every call returns at once and never throws: that systemd can't be told is no reason to stop
 * storing files. Dispose of it last: the watchdog is fed until then, while the daemon stops too.
 */
export interface Notifier extends AsyncDisposable {
  /**
   * How systemd is told: `socket`; `child`, by systemd-notify, for which the unit needs NotifyAccess=all; or `none`,
   * outside systemd.
   */
  readonly channel: 'socket' | 'child' | 'none';
  /** The start, or a reload, is over. */
  ready(): void;
  /** What `systemctl status` shows, one line. */
  status(text: string): void;
  stopping(): void;
  /** A reload begins; `ready` ends it. */
  reloading(): void;
  /** The start or stop under way may take this much longer from now on. */
  extendTimeout(ms: number): void;
}

/** `send` sends one message after the other and never throws; disposing waits until all are gone, or can't go. */
interface Channel extends AsyncDisposable {
  readonly kind: Notifier['channel'];
  send(text: string): void;
}

export async function createNotifier(options: NotifierOptions): Promise<Notifier> {
  const channel = await openChannel(options.socketPath);
  const watchdog = channel.kind === 'none' ? undefined : feedWatchdog(channel, options);
  let lastStatus = '';
  return {
    channel: channel.kind,
    ready: () => channel.send('READY=1'),
    status(text) {
      const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
      if (line === lastStatus) return;
      lastStatus = line;
      channel.send(`STATUS=${line}`);
    },
    stopping: () => channel.send('STOPPING=1'),
    // systemd compares MONOTONIC_USEC with its own clock, so that a READY=1 sent before does not end this reload.
    reloading: () => channel.send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    extendTimeout: (ms) => channel.send(`EXTEND_TIMEOUT_USEC=${Math.ceil(ms * 1000)}`),
    async [Symbol.asyncDispose]() {
      clearInterval(watchdog);
      await channel[Symbol.asyncDispose]();
    },
  };
}

/** At half of what systemd allows, on the main loop: a loop that is stuck feeds nothing, and is killed for it. */
function feedWatchdog(channel: Channel, { watchdogUsec, watchdogPid, pid }: NotifierOptions) {
  const allowedMs = Number(watchdogUsec ?? 0) / 1000;
  if (!(allowedMs > 0) || (watchdogPid !== undefined && Number(watchdogPid) !== pid)) return undefined;
  channel.send('WATCHDOG=1');
  return setInterval(() => channel.send('WATCHDOG=1'), allowedMs / 2).unref();
}

async function openChannel(socketPath: string | undefined): Promise<Channel> {
  if (!socketPath) return { kind: 'none', send: () => {}, [Symbol.asyncDispose]: async () => {} };
  return (await openSocket(socketPath)) ?? childChannel(socketPath);
}

/** Node itself has no datagram sockets of the unix kind; undefined where the optional package is not installed. */
async function openSocket(socketPath: string): Promise<Channel | undefined> {
  const unixSocket = await import('node-unix-socket').catch(() => undefined);
  if (unixSocket === undefined) return undefined;
  const address = socketPath.replace(/^@/, '\0');
  const socket = new unixSocket.DgramSocket();
  socket.on('error', () => {}); // without a listener an error would end the process
  const sent = new Set<Promise<void>>();
  return {
    kind: 'socket',
    send(text) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const message = Buffer.from(text);
      try {
        socket.sendTo(message, 0, message.length, address, () => resolve());
      } catch {
        return; // an impossible address
      }
      sent.add(promise);
      void promise.then(() => sent.delete(promise));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sent);
      socket.close(); // it would keep the process alive
    },
  };
}

/** One systemd-notify a message, each after the one before it. */
function childChannel(socketPath: string): Channel {
  const run = promisify(execFile);
  let last: Promise<unknown> = Promise.resolve();
  return {
    kind: 'child',
    send(text) {
      const env = { ...process.env, NOTIFY_SOCKET: socketPath };
      last = last.then(() => run('systemd-notify', text.split('\n'), { env, timeout: 5000 })).catch(() => undefined);
    },
    async [Symbol.asyncDispose]() {
      await last;
    },
  };
}
