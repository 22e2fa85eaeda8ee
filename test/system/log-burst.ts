/** Runs inside the box in place of the daemon: `log-burst.ts COUNT` logs so many uploads at once, and ends. */
import { createLogger, describeDestination } from '../../src/service/logger.ts';

const log = createLogger({ level: 'info', format: 'auto', destination: describeDestination(1, false, process.env) });
for (let n = 0; n < Number(process.argv[2]); n += 1)
  log.info('uploaded', { path: `some folder/file ${n}.csv`, bytes: n });
process.on('exit', () => log.flush());
