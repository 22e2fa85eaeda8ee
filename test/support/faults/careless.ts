/**
 * Loaded into the daemon before its own code, to prove that the tests of power loss can fail: leaves out the sync of
 * folders, or that of the journal.
 */
import fs from 'node:fs';
import module from 'node:module';
import { DatabaseSync } from 'node:sqlite';

const variable = 'TEST_CARELESS_OF';

/** The environment of a daemon that syncs no folder, or no journal. */
export const carelessOf = (what: 'folders' | 'journal'): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  [variable]: what,
});

const nothing = Object.assign((_fd: number, done: fs.NoParamCallback) => setImmediate(done, null), {
  __promisify__: async () => undefined,
});
if (process.env[variable] === 'folders') {
  fs.fsync = nothing;
  module.syncBuiltinESMExports();
}
if (process.env[variable] === 'journal') {
  fs.fdatasync = nothing;
  module.syncBuiltinESMExports();
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (sql) {
    exec.call(this, sql.replace(/synchronous = \w+/, 'synchronous = OFF'));
  };
}
