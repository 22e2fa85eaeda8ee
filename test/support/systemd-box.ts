import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('systemd-box.sh', import.meta.url));

export interface BoxOptions {
  /** Folders of this machine to see inside, read-only: `{ '/opt/here': '/path/on/the/host' }`. */
  readonly readOnly?: Readonly<Record<string, string>>;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A booted systemd with a loopback network of its own; all commands run as its root. */
export interface SystemdBox extends AsyncDisposable {
  /** Runs a bash script and gives what came of it, whatever its exit code. */
  run(bash: string): Promise<CommandResult>;
  /** Its standard output, trimmed; fails with all of its output where the exit code is not 0. */
  must(bash: string): Promise<string>;
  /** Writes a file and the folders above it. */
  write(path: string, content: string): Promise<void>;
  /** As a machine restarts: `reboot` in order, `crash` as if the power went. All files stay but those of /run and /tmp. */
  restart(how: 'reboot' | 'crash'): Promise<void>;
}

const inPath = (command: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(`${folder}/${command}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/**
 * Why there can be no box here; undefined where there can. Where the tests are told to be complete
 * (DROPLEDGER_REQUIRE_SYSTEM=1) nothing is skipped: they fail instead.
 */
export function whyNoSystemdBox(): string | undefined {
  if (process.env['DROPLEDGER_REQUIRE_SYSTEM'] === '1') return undefined;
  if (process.platform !== 'linux') return 'not Linux';
  if (process.getuid?.() !== 0) return 'a container needs root';
  const missing = ['systemd-nspawn', 'unshare', 'nsenter', 'setpriv', 'dbus-daemon', 'dpkg-deb', 'objcopy'].filter(
    (name) => !inPath(name),
  );
  if (missing.length > 0)
    return `no ${missing.join(', ')}: apt-get install systemd systemd-container dbus dpkg binutils`;
  return undefined;
}

let boxes = 0;

/** Boots a box, in under a second or two. Its end is the end of everything in it. */
export async function bootSystemdBox({ readOnly = {} }: BoxOptions = {}): Promise<SystemdBox> {
  boxes += 1;
  const binds = Object.entries(readOnly).map(([inside, outside]) => `--bind-ro=${outside}:${inside}`);
  const holder = spawn(script, [`dropledger-box-${process.pid}-${boxes}`, '--private-network', ...binds], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const leaders = leadersOf(holder);
  let leader = await nextOf(leaders);

  const run = async (bash: string, input = ''): Promise<CommandResult> => {
    const child = spawn('nsenter', ['-t', leader, '-m', '-u', '-i', '-n', '-p', '-C', ...cleanShell, bash]);
    child.stdin.on('error', () => {}); // EPIPE, of a command that reads nothing
    child.stdin.end(input);
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: Number(code ?? -1), stdout, stderr };
  };
  const must = async (bash: string, input = ''): Promise<string> => {
    const { code, stdout, stderr } = await run(bash, input);
    if (code !== 0) throw new Error(`exit ${code}: ${bash}\n${stdout}${stderr}`);
    return stdout.trim();
  };
  return {
    run: (bash) => run(bash),
    must: (bash) => must(bash),
    async write(path, content) {
      await must(`mkdir -p "$(dirname '${path}')" && cat > '${path}'`, content);
    },
    async restart(how) {
      holder.stdin?.write(`${how}\n`);
      leader = await nextOf(leaders);
    },
    async [Symbol.asyncDispose]() {
      const closed = once(holder, 'close');
      holder.stdin?.end();
      await closed;
    },
  };
}

const cleanShell = [
  ...['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8', 'HOME=/root'],
  ...['SYSTEMD_PAGER=cat', 'SYSTEMD_COLORS=0', 'bash', '-c'],
];

/** The process ids of its systemd, one a boot. */
async function* leadersOf(holder: ChildProcess): AsyncGenerator<string> {
  if (holder.stdout === null) throw new Error('no stdout');
  for await (const line of createInterface(holder.stdout)) {
    const pid = /^up (\d+)$/.exec(line)?.[1];
    if (pid !== undefined) yield pid;
  }
}

async function nextOf(leaders: AsyncGenerator<string>): Promise<string> {
  const { value, done } = await leaders.next();
  if (done) throw new Error('the systemd box did not boot');
  return value;
}
