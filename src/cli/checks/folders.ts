import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, open, readFile, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { type Folder, folderCommand, networkFileSystemOf, openFolder, pathIn } from '../../drop-folder/folder.ts';
import { type Folders, openFolders } from '../../drop-folder/folders.ts';
import { scan } from '../../drop-folder/scan.ts';
import type { RelativePath } from '../../model.ts';
import { currentUser } from '../../service/current-user.ts';
import { ConfigError, LocalFailure, messageOf } from '../../service/errors.ts';
import { type CheckResult, checkThat, passed } from './result.ts';

const mebibyte = 2 ** 20;
/** Less than this on the disk of the journal, and an outage of Postgres fills it before long. */
const leastFreeMiB = 100;

/** The folders, as this user sees them: that they exist, that files can be moved, that there is room. */
export async function checkFolders({ dropFolder: drop }: Config, journalFile: string): Promise<CheckResult[]> {
  let folders: Folders | undefined;
  const results = [
    await checkThat('folders', async () => {
      folders = await openFolders(drop);
      return `${drop.path} can be read`;
    }),
  ];
  if (folders !== undefined) {
    const { dropFolder, archive, quarantine } = folders;
    if (archive !== undefined) results.push(await checkThat('archive', () => moveForReal(dropFolder, archive)));
    results.push(await checkThat('quarantine', () => moveForReal(dropFolder, quarantine)));
    results.push(await checkThat('events', () => watchable(dropFolder)));
    results.push(await checkThat('free space', () => room(drop.quarantinePath)));
  }
  results.push(await checkThat('journal', () => journalCanBeWritten(journalFile)));
  return results;
}

/** A hidden file, there for an instant: it takes the way that every file takes. */
async function moveForReal(from: Folder, to: Folder): Promise<string> {
  const name = `.dropledger-check-${randomUUID()}` as RelativePath;
  const [source, target] = [pathIn(from, name), pathIn(to, name)];
  try {
    await (await open(source, 'wx')).close();
    await rename(source, target);
    return `a file was moved from ${from.path} to ${to.path}`;
  } catch (cause) {
    throw new ConfigError(`files cannot be moved from ${from.path} to ${to.path}: ${messageOf(cause)}`, {
      hint: `both on one mount, and writable: ${folderCommand(to.path.toString())}`,
      cause,
    });
  } finally {
    await rm(source, { force: true });
    await rm(target, { force: true });
  }
}

async function watchable(folder: Folder): Promise<CheckResult> {
  const network = await networkFileSystemOf(folder);
  if (network !== undefined) {
    return passed('events', `${network} tells nothing of other hosts' writes: files are found by rescans`);
  }
  const limit = Number(await readFile('/proc/sys/fs/inotify/max_user_watches', 'utf8'));
  const nothing = { ignore: () => undefined, onFile: () => {}, onUnreadable: () => {} };
  const { folders, files } = await scan({ folder, ...nothing }, new AbortController().signal);
  if (folders * 2 > limit) {
    throw new LocalFailure(`${folders} folders need a watch each, and one user may have ${limit}`, {
      hint: `sysctl fs.inotify.max_user_watches=${folders * 4} (until then files are found by rescans)`,
    });
  }
  return passed('events', `files: ${files}, folders: ${folders}; inotify allows ${limit} watches`);
}

async function room(path: string): Promise<string> {
  const { bavail, bsize, ffree, files } = await statfs(path);
  const freeMiB = Math.floor((bavail * bsize) / mebibyte);
  if (freeMiB < leastFreeMiB || (files > 0 && ffree === 0)) {
    throw new LocalFailure(`${freeMiB} MiB and ${ffree} inodes are free on the file system of ${path}`, {
      hint: 'make room: archived files older than dropFolder.archiveKeepDays can be removed by the daemon',
    });
  }
  return `${freeMiB} MiB are free on the file system of ${path}`;
}

async function journalCanBeWritten(file: string): Promise<string> {
  const folder = await openFolder(dirname(file), 'journal.path');
  try {
    await access(folder.path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new LocalFailure(`${folder.path} cannot be written: ${messageOf(cause)}`, {
      hint: `chown -R ${currentUser()} ${folder.path} (systemctl start makes it right by itself, by StateDirectory=)`,
      cause,
    });
  }
  return `${file}; ${await room(dirname(file))}`;
}
