import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, opendir, rename } from 'node:fs/promises';
import type { RelativePath } from '../model.ts';
import { ConfigError, codeOf, messageOf } from '../service/errors.ts';
import { type Folder, folderCommand, openFolder, pathIn } from './folder.ts';

/** The folders a file can be in. */
export interface Folders {
  readonly dropFolder: Folder;
  readonly quarantine: Folder;
  /** Undefined unless `afterUpload` is `archive`. */
  readonly archive: Folder | undefined;
}

export interface FolderPaths {
  readonly path: string;
  readonly quarantinePath: string;
  readonly archivePath?: string | undefined;
  readonly afterUpload: 'archive' | 'delete' | 'keep';
}

/**
 * Opens the folders, making archive and quarantine where they are missing, and proves that files can be renamed from
 * the drop folder to the others.
 * @throws ConfigError where a folder is missing, not writable, or on another mount.
 */
export async function openFolders(paths: FolderPaths): Promise<Folders> {
  const dropFolder = await openFolder(paths.path, 'dropFolder.path');
  const quarantine = await openReceiving(paths.quarantinePath, 'dropFolder.quarantinePath');
  const { archivePath } = paths;
  const archives = paths.afterUpload === 'archive' && archivePath !== undefined;
  const archive = archives ? await openReceiving(archivePath, 'dropFolder.archivePath') : undefined;
  proveApart(dropFolder, quarantine, 'dropFolder.quarantinePath');
  if (archive !== undefined) {
    proveApart(dropFolder, archive, 'dropFolder.archivePath');
    proveApart(archive, quarantine, 'dropFolder.quarantinePath');
  }
  await proveRename(dropFolder, quarantine, 'dropFolder.quarantinePath');
  if (archive !== undefined) await proveRename(dropFolder, archive, 'dropFolder.archivePath');
  return { dropFolder, quarantine, archive };
}

/** Whether something was moved out of the drop folder before: then this is not the first start, whatever else is gone. */
export async function tookFilesBefore({ archive, quarantine }: Folders): Promise<boolean> {
  for (const folder of [archive, quarantine]) {
    if (folder === undefined) continue;
    if (await holdsSomething(folder.path)) return true;
  }
  return false;
}

/** A folder that may be written and not listed may hold something. */
async function holdsSomething(path: Folder['path']): Promise<boolean> {
  try {
    await using entries = await opendir(path);
    return (await entries.read()) !== null;
  } catch {
    return true;
  }
}

async function openReceiving(path: string, configKey: string): Promise<Folder> {
  await mkdir(path, { recursive: true }).catch(() => undefined); // openFolder says what is wrong
  const folder = await openFolder(path, configKey);
  try {
    await access(folder.path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new ConfigError(`${configKey}: files cannot be put into ${path}: ${messageOf(cause)}`, {
      hint: `${folderCommand(path)}; under systemd ReadWritePaths= must cover it as well`,
      cause,
    });
  }
  return folder;
}

/** The configuration's own check knows no symlinks: by the real paths, too, none may lie in another. */
function proveApart(one: Folder, other: Folder, configKey: string): void {
  const [inside, outside] = [`${one.path.toString('latin1')}/`, `${other.path.toString('latin1')}/`];
  if (!inside.startsWith(outside) && !outside.startsWith(inside)) return;
  throw new ConfigError(`${configKey}: ${other.path} and ${one.path} lie in one another`, {
    hint: 'a symlink may lead there; what is moved would be found and moved again',
  });
}

/**
 * A rename of a name that does not exist: the kernel compares the mounts before it looks for the name, so this tells
 * a folder that files cannot be moved to (EXDEV, though `st_dev` may be equal) and creates nothing in the drop folder.
 */
async function proveRename(from: Folder, to: Folder, configKey: string): Promise<void> {
  const name = `.dropledger-${randomUUID()}` as RelativePath;
  try {
    await rename(pathIn(from, name), pathIn(to, name));
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return;
    throw new ConfigError(
      `${configKey}: files cannot be renamed from ${from.path} to ${to.path}: ${messageOf(cause)}`,
      {
        hint: 'both must be on one mount; under systemd, below one entry of ReadWritePaths= (their common parent)',
        cause,
      },
    );
  }
}
