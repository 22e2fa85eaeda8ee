import { execFile, spawn } from 'node:child_process';
import { promisify, stripVTControlCharacters } from 'node:util';
import { vi } from 'vitest';
import { type Environment, program } from './daemon-program.ts';

const run = promisify(execFile);

/**
 * Runs a command of the program on a pseudo-terminal, which `script` makes and a shell prepares (with `stty`; every Debian
 * has both). The kernel tells the program of a new size as it does where a person drags a window.
 */
export async function runOnTerminal(args: readonly string[], env: Environment, columns: number, rows: number) {
  const size = (columns: number, rows: number) => ['columns', String(columns), 'rows', String(rows)];
  const shell = `tty; stty ${size(columns, rows).join(' ')}; stty -g; "$PROGRAM" "$@"; echo "exit code $?"; stty -g`;
  const script = [
    'script',
    '--quiet',
    '--flush',
    '--command',
    `set -- ${args.map(quoted).join(' ')}; ${shell}`,
    '/dev/null',
  ];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...script], {
    env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm-256color', SHELL: '/bin/sh', ...env, PROGRAM: program },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece.replaceAll('\r', '');
  });
  const nameOfTerminal = () => text.match(/^\/dev\/\S+(?=\n)/)?.[0] ?? Promise.reject(new Error(text));
  const terminal = await vi.waitFor(nameOfTerminal, { timeout: 20_000 });
  return {
    /** Everything that came to the terminal. */
    text: () => text,
    /** The lines of what was drawn last. */
    screen: () => stripVTControlCharacters(text.slice(text.lastIndexOf('\x1b[H'))).split('\n'),
    type: (keys: string) => void child.stdin.write(keys),
    resize: async (columns: number, rows: number) => void (await run('stty', ['-F', terminal, ...size(columns, rows)])),
    closed,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;
