import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../control/client.ts';
import type { DaemonReport } from '../control/protocol.ts';
import { exitCode, LocalFailure, UsageError } from '../service/errors.ts';
import { type Command, configOption, type Surroundings } from './command.ts';
import { daemonOf } from './status/control.ts';
import { statusText } from './status/report-text.ts';
import { watch } from './status/watch.ts';
import { looksOf, writing } from './terminal/output.ts';

const everyMs = 1000;

export const status: Command = {
  details: `Asks the running daemon over its control socket; members of the group of the service may. --watch fills the terminal and
redraws until q or Ctrl-C; with --json it prints one object a second.`,
  options: {
    ...configOption,
    watch: { describe: 'redraw until q or Ctrl-C' },
    json: { describe: 'print the whole state as JSON' },
  },

  async run(given, around) {
    const { socket } = await daemonOf(given, around);
    const isWatch = given['watch'] === true;
    if (given['json'] === true) return await printJson(socket, isWatch, around);
    if (isWatch && around.stdout.isTTY !== true) {
      throw new UsageError('--watch needs a terminal', { hint: 'with --json it prints one object a second' });
    }
    if (isWatch) return await watch((signal) => reportOf(socket, signal), around);
    const report = await reportOf(socket);
    const looks = looksOf(around.stdout, around.env);
    return await writing(around, async (write) => {
      await write(`${statusText(report, looks).join('\n')}\n`);
      return exitCode.fine;
    });
  },
};

async function printJson(socket: string, repeats: boolean, around: Surroundings): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) around.onSignal(signal, () => stop.abort());
  return await writing(around, async (write) => {
    do {
      await write(`${JSON.stringify(await reportOf(socket))}\n`);
      if (repeats) await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
    } while (repeats && !stop.signal.aborted);
    return exitCode.fine;
  });
}

async function reportOf(socket: string, signal?: AbortSignal): Promise<DaemonReport> {
  for await (const answer of ask(socket, { command: 'status' }, signal)) {
    if ('status' in answer) return answer.status;
  }
  throw new LocalFailure('the daemon did not tell its state');
}
