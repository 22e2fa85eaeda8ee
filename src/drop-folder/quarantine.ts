/** What lies in quarantine, and the way back from there. */
import type { Dir, Dirent } from 'node:fs';
import { opendir, readFile } from 'node:fs/promises';
import type { RelativePath } from '../model.ts';
import { isBelow, joinPath, nameOf, parentOf, pathFromBytes, pathFromWritten } from '../service/path-bytes.ts';
import { deletingFolder } from './dispose.ts';
import { nameWithId } from './file-names.ts';
import { type Folder, isForbidden, isGone, LedAstray, makeInside, openInside, pathIn } from './folder.ts';
import type { Folders } from './folders.ts';
import { identityOfEntry, moveWithoutReplacing, removeEntry, statsOfEntry } from './move.ts';
import { reasonSuffix } from './reason-file.ts';
import { isReservation } from './reserve-name.ts';

/** A file in quarantine, with what its `.reason.json` says. */
export interface QuarantinedFile {
  /** Where it lies, below the quarantine's folder. */
  readonly at: RelativePath;
  /** Where it came from, below the drop folder. */
  readonly path: RelativePath;
  readonly reason: string;
  readonly hint: string;
  readonly ledgerId: string;
}

/** Every file in quarantine, folder by folder; in each the one that came first comes first. */
export async function* quarantinedFiles(quarantine: Folder): AsyncGenerator<QuarantinedFile> {
  for await (const folder of foldersIn(quarantine)) yield* await quarantinedIn(quarantine, folder, '');
}

/** Those that were quarantined under this path, the first one first. */
export async function quarantinedAs(quarantine: Folder, path: RelativePath): Promise<QuarantinedFile[]> {
  const name = nameOf(path);
  const start = name.slice(0, Math.min(name.indexOf('.', 1) >>> 0, longestStart));
  const folders = new Set([parentOf(path), '' as RelativePath]);
  const found: QuarantinedFile[] = [];
  for (const folder of folders) found.push(...(await quarantinedIn(quarantine, folder, start)));
  return found.filter((file) => file.path === path);
}

/** Of a stem that had to be cut, at least this much is left. */
const longestStart = 100;

/** How many files there are, without a look into any; it stops at `most`. */
export async function countQuarantined(quarantine: Folder, most: number): Promise<number> {
  let files = 0;
  for await (const folder of foldersIn(quarantine)) {
    files += (await namesIn(quarantine, folder, most - files)).length;
    if (files >= most) break;
  }
  return files;
}

/**
 * Moves it back into the drop folder, where it is taken for a new file. Nothing is ever replaced. Resolves with why it
 * stays, or undefined where it was moved.
 */
export async function putBackQuarantined(
  { quarantine, dropFolder }: Pick<Folders, 'quarantine' | 'dropFolder'>,
  { at, path }: QuarantinedFile,
): Promise<string | undefined> {
  try {
    await using from = await openInside(quarantine, parentOf(at));
    await using to = await makeInside(dropFolder, parentOf(path));
    const [name, target] = [nameOf(at), nameOf(path)];
    if ((await identityOfEntry(from, name)) === undefined) return 'it is not in quarantine any longer';
    const taken = 'a file of that name is in the drop folder';
    if ((await statsOfEntry(to, target)) !== undefined) return taken;
    await moveWithoutReplacing(from, name, to, target);
    if ((await statsOfEntry(from, name)) !== undefined) {
      return (await statsOfEntry(to, target)) === undefined ? 'the service user may not move it there' : taken;
    }
    await to.sync();
    await from.sync();
    await removeEntry(from, `${name}${reasonSuffix}` as RelativePath);
    return undefined;
  } catch (error) {
    const reason = whyItStays(error);
    if (reason === undefined) throw error;
    return reason;
  }
}

function whyItStays(error: unknown): string | undefined {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && syscall?.startsWith('spawn')) return 'xargs is not installed';
  if (isForbidden(error)) return 'the service user may not open or make its folder';
  if (error instanceof LedAstray || notFolder.has(code ?? '')) return 'a file or a symlink is where its folder was';
  return undefined;
}

const notFolder = new Set(['EEXIST', 'ENOTDIR', 'ELOOP']);

/** The quarantine's folder and all below it, but the one where deleted files wait. */
async function* foldersIn(quarantine: Folder): AsyncGenerator<RelativePath> {
  const waiting: RelativePath[] = ['' as RelativePath];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    yield at;
    for await (const entry of entriesIn(quarantine, at)) {
      const path = joinPath(at, pathFromBytes(entry.name as unknown as Uint8Array));
      if (entry.isDirectory() && path !== deletingFolder) waiting.push(path);
    }
  }
}

/** Names of reason files. */
async function namesIn(quarantine: Folder, folder: RelativePath, most: number, start = ''): Promise<RelativePath[]> {
  const names: RelativePath[] = [];
  for await (const entry of entriesIn(quarantine, folder)) {
    const name = pathFromBytes(entry.name as unknown as Uint8Array);
    if (entry.isFile() && name.endsWith(reasonSuffix) && name.startsWith(start) && names.push(name) >= most) break;
  }
  return names;
}

/** A folder that is gone has none. */
async function* entriesIn(quarantine: Folder, folder: RelativePath): AsyncGenerator<Dirent> {
  try {
    const options = { encoding: 'buffer' as BufferEncoding };
    yield* (await opendir(pathIn(quarantine, folder) as unknown as string, options)) as Dir & AsyncIterable<Dirent>;
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

async function quarantinedIn(quarantine: Folder, folder: RelativePath, start: string): Promise<QuarantinedFile[]> {
  const found: QuarantinedFile[] = [];
  for (const reasonName of await namesIn(quarantine, folder, Number.POSITIVE_INFINITY, start)) {
    const file = await readReason(quarantine, folder, reasonName);
    if (file !== undefined) found.push(file);
  }
  return found.sort((one, other) => (one.ledgerId < other.ledgerId ? -1 : 1));
}

const mostReasonBytes = 64 * 1024;

/** Undefined for what is no reason of ours (a file of that name was quarantined), or has no file yet. */
async function readReason(
  quarantine: Folder,
  folder: RelativePath,
  reasonName: RelativePath,
): Promise<QuarantinedFile | undefined> {
  const name = reasonName.slice(0, -reasonSuffix.length) as RelativePath;
  const at = joinPath(folder, name);
  try {
    const { calls } = quarantine;
    const entry = (inFolder: RelativePath) => pathIn(quarantine, joinPath(folder, inFolder));
    if (!(await calls.lstat(entry(name)))?.isFile()) return undefined;
    if (await isReservation({ calls, entry }, name)) return undefined; // it is on its way
    if (Number((await calls.lstat(entry(reasonName)))?.size ?? 0n) > mostReasonBytes) return undefined;
    const said: unknown = JSON.parse(await readFile(entry(reasonName), 'utf8'));
    const { path: text, reason, hint, ledgerId } = Object(said) as Record<string, unknown>;
    if ([text, reason, hint, ledgerId].some((value) => typeof value !== 'string')) return undefined;
    const file = { at, path: pathFromWritten(String(text)), reason, hint, ledgerId } as QuarantinedFile;
    return isPlausible(file) ? file : undefined;
  } catch (error) {
    if (isGone(error) || isForbidden(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Anyone may drop a file that is called like a reason: it can claim no other place than the one it lies in. */
function isPlausible({ at, path, ledgerId }: QuarantinedFile): boolean {
  const name = nameOf(path);
  const isName = nameOf(at) === name || nameOf(at) === nameWithId(name, ledgerId, reasonSuffix.length);
  return isName && isBelow(path) && (parentOf(at) === parentOf(path) || parentOf(at) === '');
}
