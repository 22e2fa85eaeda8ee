/**
 * Runs inside the box in place of the daemon, under the unit's restrictions: does what the daemon does at bottom, and
 * reports as one JSON line what it could and what it could not.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, homedir, userInfo } from 'node:os';
import { DatabaseSync } from 'node:sqlite';

const canWrite = (path: string): boolean => {
  try {
    writeFileSync(path, '');
    return true;
  } catch {
    return false;
  }
};

const dropped = '/srv/dropledger/inbox/probe.txt';
const owner = execFileSync('stat', ['-c', '%U', dropped], { encoding: 'utf8' }).trim();
mkdirSync('/srv/dropledger/archive/made');
renameSync(dropped, '/srv/dropledger/archive/made/probe.txt');
mkdirSync(`${homedir()}/.aws/sso/cache`, { recursive: true });
const database = new DatabaseSync(`${homedir()}/probe.db`);
database.exec('PRAGMA journal_mode=WAL; CREATE TABLE t (n); INSERT INTO t VALUES (1)');

const folders = ['~/.aws/sso/cache', '/run/dropledger', '/srv/dropledger/inbox', '/tmp'];
const others = ['/etc/dropledger', '/opt', '/root', '/usr', '/srv', '/var/log'];
const writable = (folder: string): boolean => canWrite(`${folder.replace('~', homedir())}/probe`);
process.stdout.write(
  `${JSON.stringify({
    user: userInfo().username,
    home: homedir(),
    owner,
    archivedInto: (statSync('/srv/dropledger/archive/made').mode & 0o7777).toString(8),
    writable: [...folders, ...others].filter(writable),
    seesCpus: availableParallelism() > 0,
    coreLimit: /core file size +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1],
    sqlite: database.prepare('SELECT n FROM t').get()?.['n'],
  })}\n`,
);
