import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DaemonReport } from '../../control/protocol.ts';
import { DropledgerError, exitCode, messageOf } from '../../service/errors.ts';
import type { Surroundings } from '../command.ts';
import { cutToColumns } from '../terminal/cut-line.ts';
import { type Looks, looksOf } from '../terminal/output.ts';
import { statusText } from './report-text.ts';

const everyMs = 500;

/** The alternate screen leaves what was on the terminal before as it was. */
const enter = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const leave = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const home = '\x1b[H';
const restOfLine = '\x1b[K';
const restOfScreen = '\x1b[J';
const ctrlC = '\x03';

/** Fills the terminal with the daemon's state until `q` or a signal comes. A daemon that goes away is waited for. */
export async function watch(
  ask: (signal: AbortSignal) => Promise<DaemonReport>,
  around: Surroundings,
): Promise<number> {
  const { stdout } = around;
  const stop = new AbortController();
  const end = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) around.onSignal(signal, end);
  stdout.on('error', end); // the terminal is gone
  let report: DaemonReport | undefined;
  let failure: unknown;

  const draw = (): void => {
    const looks = looksOf(stdout, around.env);
    const lines = screenLines(report, failure, looks);
    const { rows = 24, columns = 80 } = stdout;
    const shown = lines.slice(0, Math.max(1, rows)).map((line) => cutToColumns(line, columns) + restOfLine);
    stdout.write(home + shown.join('\r\n') + restOfScreen);
  };

  using _keys = onKey(around.stdin(), ['q', 'Q', ctrlC], end);
  stdout.write(enter);
  stdout.on('resize', draw);
  try {
    while (!stop.signal.aborted) {
      try {
        report = await ask(stop.signal);
        failure = undefined;
      } catch (error) {
        failure = error;
      }
      if (stop.signal.aborted) break;
      draw();
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    stdout.off('resize', draw);
    if (!stdout.write(leave)) await once(stdout, 'drain').catch(() => undefined);
  }
  return exitCode.fine;
}

/** One of these keys ends it. They come at once and are not shown; Ctrl-C is a key like others then. */
function onKey(stdin: NodeJS.ReadStream, keys: readonly string[], end: () => void): Disposable {
  if (stdin.isTTY !== true) return { [Symbol.dispose]() {} };
  const read = (typed: Buffer) => {
    if (keys.some((key) => typed.includes(key))) end();
  };
  stdin.setRawMode(true).on('data', read).on('error', end);
  return {
    [Symbol.dispose]() {
      stdin.setRawMode(false).pause();
      stdin.off('data', read).off('error', end);
    },
  };
}

function screenLines(report: DaemonReport | undefined, failure: unknown, looks: Looks): string[] {
  if (failure === undefined) return report === undefined ? [] : statusText(report, looks);
  const hint = failure instanceof DropledgerError ? failure.hint : undefined;
  const head = [looks.paint('red', `✗ ${messageOf(failure)}`), ...(hint === undefined ? [] : [`  → ${hint}`])];
  return [...head, looks.paint('dim', '  It is asked again; q ends this.')];
}
