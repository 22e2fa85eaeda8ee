/** Loaded into the daemon before its own code: from the nth sync of the journal on its disk answers EIO. */
import fs from 'node:fs';
import module from 'node:module';
import { isMainThread } from 'node:worker_threads';

const variable = 'TEST_SYNC_FAILS_FROM';

export const failingSyncs = (fromNth: number): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  [variable]: String(fromNth),
});

const fromNth = Number(process.env[variable] ?? Number.POSITIVE_INFINITY);
if (isMainThread && Number.isFinite(fromNth)) {
  const { fdatasync } = fs;
  let count = 0;
  const failing = (fd: number, done: fs.NoParamCallback): void => {
    count += 1;
    if (count < fromNth) fdatasync(fd, done);
    else setImmediate(done, Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  };
  fs.fdatasync = Object.assign(failing, { __promisify__: fdatasync.__promisify__ });
  module.syncBuiltinESMExports();
}
