import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidConfig, loadConfig } from '../config/load.ts';
import { changesBetween } from '../config/reload.ts';
import type { Config } from '../config/schema.ts';
import { runDaemon } from '../daemon.ts';
import { DropledgerError, exitCode } from '../service/errors.ts';
import { type Journald, openJournald } from '../service/journald.ts';
import { errorFields } from '../service/log-error.ts';
import { logRuntimeMessages } from '../service/log-runtime.ts';
import { createLogger, describeDestination, type LogDestination, type Logger } from '../service/logger.ts';
import { createNotifier, type Notifier } from '../service/systemd.ts';
import { type Command, configOption, type GivenOptions, type Surroundings, textOf } from './command.ts';

/** How long uploads in flight may take to end after SIGTERM; the unit's TimeoutStopSec is longer. */
const graceMs = 30_000;

export const run: Command = {
  details: `Signals: SIGTERM or SIGINT finishes what is in flight within ${graceMs / 1000} s; a second one gives it up, and the next start
goes on with it. SIGHUP reads the configuration and the AWS login again.`,
  options: configOption,

  async run(given: GivenOptions, around: Surroundings): Promise<number> {
    const file = textOf(given, 'config') ?? configOption.config.default;
    const destination = describeDestination(1, around.stdout.isTTY === true, around.env);
    let log = createLogger({ level: 'info', format: 'auto', destination });
    await using journald = await journaldFor(destination, around.env);
    logRuntimeMessages(around.runtime, log);
    try {
      const config = await loadConfig(file);
      log = createLogger({ ...config.log, destination, journald });
      logRuntimeMessages(around.runtime, log);
      await using notifier = await createNotifier({
        socketPath: around.env['NOTIFY_SOCKET'],
        watchdogUsec: around.env['WATCHDOG_USEC'],
        watchdogPid: around.env['WATCHDOG_PID'],
        pid: around.pid,
      });
      if (notifier.channel === 'child') {
        const hint = 'set NotifyAccess=all in the unit, or install the optional package node-unix-socket';
        log.warning('warning', { hint }, 'systemd is told by a child process');
      }
      await runUntilSignalled({ file, config, log, notifier, around });
      log.info('stopped', {});
      return exitCode.fine;
    } catch (error) {
      sayWhyItEnded(log, error);
      return error instanceof DropledgerError ? error.exitCode : exitCode.failed;
    } finally {
      log.flush();
    }
  },
};

/** Where stdout is journald's, lines come with their fields; where that fails, without. */
async function journaldFor({ kind }: LogDestination, env: Surroundings['env']): Promise<Journald | undefined> {
  if (kind !== 'journal') return undefined;
  const instance = env['DROPLEDGER_INSTANCE'];
  return await openJournald({ identifier: instance === undefined ? 'dropledger' : `dropledger-${instance}` });
}

interface Running {
  readonly file: string;
  readonly config: Config;
  readonly log: Logger;
  readonly notifier: Notifier;
  readonly around: Surroundings;
}

async function runUntilSignalled({ file, config, log, notifier, around }: Running): Promise<void> {
  const stop = new AbortController();
  const graceOver = new AbortController();
  const onStop = () => {
    if (stop.signal.aborted) return graceOver.abort(new Error('given up at a second signal'));
    log.info('stopping', { grace_seconds: graceMs / 1000 });
    notifier.stopping();
    stop.abort(new Error('stopping'));
    void sleep(graceMs, undefined, { ref: false }).then(() => graceOver.abort(new Error('the grace time is over')));
  };
  around.onSignal('SIGTERM', onStop);
  around.onSignal('SIGINT', onStop);

  let current = config;
  const listeners: ((config: Config) => void)[] = [];
  const reload = async () => {
    notifier.reloading();
    try {
      const next = await loadConfig(file);
      const { applied, needRestart } = changesBetween(current, next);
      log.setLevel(next.log.level);
      for (const listener of listeners) listener(next);
      current = next;
      log.info('reloaded', { applied: applied.join(' ') || 'none' }, 'the AWS login is read again too');
      if (needRestart.length > 0) {
        const hint = 'systemctl restart dropledger';
        log.warning('reloaded', { not_applied: needRestart.join(' '), hint }, 'these changes need a restart');
      }
    } catch (error) {
      sayProblems(log, 'reloaded', error, 'the configuration is wrong: the old one stays in force');
    } finally {
      notifier.ready();
    }
  };
  around.onSignal('SIGHUP', () => void reload());

  await runDaemon(config, {
    env: around.env,
    log,
    notifier,
    stop: stop.signal,
    graceOver: graceOver.signal,
    onReload: (listener) => void listeners.push(listener),
  });
}

const sayWhyItEnded = (log: Logger, error: unknown): void =>
  sayProblems(log, 'stopped', error, 'dropledger cannot run');

/** Each problem of a configuration on a line of its own; everything else in one. */
function sayProblems(log: Logger, event: 'stopped' | 'reloaded', error: unknown, message: string): void {
  if (error instanceof InvalidConfig) {
    for (const problem of error.problems) {
      log.error(event, { key: problem.path || undefined, error: problem.message, file: error.file }, message);
    }
  } else {
    log.error(event, errorFields(error), message);
  }
}
