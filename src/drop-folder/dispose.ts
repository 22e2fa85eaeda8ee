import { setTimeout as sleep } from 'node:timers/promises';
import type { Disposition, FileIdentity, RelativePath } from '../model.ts';
import { codeOf, LocalFailure } from '../service/errors.ts';
import { errorFields } from '../service/log-error.ts';
import { nameOf, parentOf } from '../service/path-bytes.ts';
import { nameMaxBytes, nameWithId } from './file-names.ts';
import {
  type Folder,
  type FolderHandle,
  folderIsThere,
  isForbidden,
  isGone,
  LedAstray,
  makeInside,
  openInside,
  sameFile,
} from './folder.ts';
import type { Folders } from './folders.ts';
import { identityOfEntry, type MoveOutcome, moveFile, putBack, removeEntry } from './move.ts';
import { reasonCompanion, reasonSuffix } from './reason-file.ts';
import { createNameReserver, isReservation, type NameReserver } from './reserve-name.ts';

/** A file whose row is in the ledger. */
export interface DisposableFile {
  readonly path: RelativePath;
  readonly identity: FileIdentity;
  readonly disposition: Disposition;
}

export type Disposal =
  | MoveOutcome
  /** It stays in the folder, as configured. */
  | { readonly kind: 'kept' }
  /** The receiving folder refused (full, read-only…): nothing was moved, and it may work later. */
  | {
      readonly kind: 'failed';
      readonly code: string | undefined;
      readonly error: string;
      readonly hint: string | undefined;
    }
  /** It waits for its second look, which the next start takes. */
  | { readonly kind: 'interrupted' };

export interface DisposeOptions {
  readonly folders: Folders;
  readonly afterUpload: 'archive' | 'delete' | 'keep';
  /** `delete` looks again after this long: somebody may have had the file open. */
  readonly settleMs: number;
  /** Aborted when nobody waits for that any longer. */
  readonly graceOver?: AbortSignal;
}

/** A batch of files from one folder of the drop folder, on their way to one other. */
interface Leg<File extends DisposableFile> {
  readonly parent: RelativePath;
  readonly target: 'archive' | 'deleting' | 'quarantine';
  readonly files: File[];
}

/**
 * Takes files out of the drop folder, after both facts about them are durable, and leaves them where they are if they
 * may not be moved. Renames of a batch are synced together, folder by folder, before this resolves.
 */
export function createDisposer({ folders, afterUpload, settleMs, graceOver }: DisposeOptions) {
  const { dropFolder, quarantine, archive } = folders;
  const targetOf = ({ disposition }: DisposableFile): Leg<DisposableFile>['target'] | 'kept' => {
    if (disposition.kind === 'quarantine') return 'quarantine';
    if (afterUpload === 'archive') return 'archive';
    return afterUpload === 'delete' ? 'deleting' : 'kept';
  };

  /** The folder that receives a leg, made if need be; its own top where the relative path cannot be kept. */
  const openTarget = async ({ target, parent }: Leg<DisposableFile>) => {
    if (target === 'deleting') return { handle: await makeInside(quarantine, deletingFolder), keepsPath: true };
    const top = target === 'archive' && archive !== undefined ? archive : quarantine;
    try {
      return { handle: await makeInside(top, parent), keepsPath: true };
    } catch (error) {
      if (!cannotKeepPath(error)) throw error;
      return { handle: await openInside(top, '' as RelativePath), keepsPath: false };
    }
  };

  const disposeLeg = async <File extends DisposableFile>(leg: Leg<File>, done: Map<File, Disposal>): Promise<void> => {
    const source = await openSource(dropFolder, leg.parent);
    const isMissing = 'kind' in source;
    if (isMissing) {
      for (const file of leg.files) done.set(file, source);
      if (leg.target !== 'deleting') return;
    }
    // What must not be deleted after all comes back to the top where its folder is gone.
    await using from = isMissing ? await openInside(dropFolder, '' as RelativePath) : source;
    const { handle, keepsPath } = await openTarget(leg);
    await using to = handle;
    if (isMissing) {
      for (const file of leg.files) if (await waitsInside(to, file)) done.set(file, waiting(file));
    } else await moveAll(leg.files, done, { from, to, target: leg.target, keepsPath });
    if (leg.target === 'deleting') await finishDeleting(leg.files, done, { from, to }, { settleMs, graceOver });
    await from.sync();
    await to.sync();
  };

  const disposeLegOrSay = async <File extends DisposableFile>(leg: Leg<File>, done: Map<File, Disposal>) => {
    try {
      await disposeLeg(leg, done);
    } catch (error) {
      for (const file of leg.files) if (!done.has(file)) done.set(file, failedBy(error));
    }
  };

  return async <File extends DisposableFile>(files: readonly File[]): Promise<Map<File, Disposal>> => {
    const done = new Map<File, Disposal>();
    const legs = new Map<string, Leg<File>>();
    for (const file of files) {
      const target = targetOf(file);
      const parent = parentOf(file.path);
      if (target === 'kept') done.set(file, { kind: 'kept' });
      else {
        const leg = legs.get(`${target}/${parent}`) ?? { parent, target, files: [] };
        legs.set(`${target}/${parent}`, leg);
        leg.files.push(file);
      }
    }
    await Promise.all([...legs.values()].map((leg) => disposeLegOrSay(leg, done)));
    return done;
  };
}

/** Resolves when all that was moved is on disk. */
export type Dispose = ReturnType<typeof createDisposer>;

/** Where deleted files wait for the second look: in the quarantine's folder, the one place that is surely writable. */
export const deletingFolder = '.deleting' as RelativePath;

interface Way {
  readonly from: FolderHandle;
  readonly to: FolderHandle;
  readonly target: Leg<DisposableFile>['target'];
  readonly keepsPath: boolean;
}

async function moveAll<File extends DisposableFile>(files: readonly File[], done: Map<File, Disposal>, way: Way) {
  await using reserver = createNameReserver(way.to);
  for (const [index, file] of files.entries()) {
    const following = files[index + 1];
    const next = following === undefined ? undefined : namesFor(following, way)[0];
    const disposal = disposeOne(file, way, { reserver, next });
    done.set(file, await disposal.catch(failedBy));
  }
}

/** Plain data: it may cross from one thread to another. */
const failedBy = (error: unknown): Disposal => ({ kind: 'failed', code: codeOf(error), ...errorFields(error) });

/** The names that a file may have where it goes, the first that is free. */
function namesFor({ path, disposition }: DisposableFile, { target, keepsPath }: Way): RelativePath[] {
  if (target === 'deleting') return [waitingName({ disposition })];
  const name = nameOf(path);
  const suffixLength = target === 'quarantine' ? reasonSuffix.length : 0;
  const withId = nameWithId(name, disposition.ledgerId, suffixLength);
  return keepsPath && name.length + suffixLength <= nameMaxBytes ? [name, withId] : [withId];
}

async function disposeOne(
  file: DisposableFile,
  way: Way,
  reserved: { readonly reserver: NameReserver; readonly next: RelativePath | undefined },
): Promise<Disposal> {
  const { path, identity, disposition } = file;
  const { from, to, target } = way;
  const move = { from, name: nameOf(path), identity, to, names: namesFor(file, way), ...reserved };
  if (target === 'deleting') {
    const moved = await moveFile(move);
    return moved.kind === 'gone' && (await waitsInside(to, file)) ? waiting(file) : moved;
  }
  return disposition.kind === 'quarantine'
    ? moveFile({ ...move, companion: reasonCompanion(to, path, disposition) })
    : moveFile(move);
}

const waitingName = ({ disposition }: Pick<DisposableFile, 'disposition'>) => disposition.ledgerId as RelativePath;
const waiting = (file: DisposableFile) => ({ kind: 'moved', name: waitingName(file) }) as const;

/** Whether a daemon that was killed had moved it to where deleted files wait; all it had done may be to take the name. */
async function waitsInside(to: FolderHandle, file: DisposableFile): Promise<boolean> {
  const name = waitingName(file);
  if (await isReservation(to, name)) await removeEntry(to, name);
  return (await identityOfEntry(to, name)) !== undefined;
}

/** Somebody may have had a file open and written on: what changed goes back to the drop folder, the rest is deleted. */
async function finishDeleting<File extends DisposableFile>(
  files: readonly File[],
  done: Map<File, Disposal>,
  { from, to }: Pick<Way, 'from' | 'to'>,
  { settleMs, graceOver }: { settleMs: number; graceOver: AbortSignal | undefined },
): Promise<void> {
  const toLookAt = files.filter((file) => done.get(file)?.kind === 'moved');
  if (toLookAt.length === 0) return;
  const isOver = await sleep(settleMs, false, { signal: graceOver }).catch(() => true);
  for (const file of toLookAt) {
    const moved = done.get(file);
    if (moved?.kind !== 'moved') continue;
    if (isOver) {
      done.set(file, { kind: 'interrupted' });
      continue;
    }
    const now = await identityOfEntry(to, moved.name);
    if (now === undefined) continue;
    if (sameFile(now, file.identity, { moved: true })) {
      await removeEntry(to, moved.name);
    } else {
      await putBack(to, moved.name, from, nameOf(file.path));
      done.set(file, { kind: 'gone' });
    }
  }
}

/** Where the drop folder itself is away, renamed or unmounted, nothing in it is gone: its files wait. */
async function openSource(dropFolder: Folder, parent: RelativePath): Promise<FolderHandle | MoveOutcome> {
  if (!(await folderIsThere(dropFolder))) throw new LocalFailure('the drop folder is not there');
  try {
    return await openInside(dropFolder, parent);
  } catch (error) {
    if (isGone(error) || error instanceof LedAstray) return { kind: 'gone' };
    if (isForbidden(error)) return { kind: 'not-movable', reason: 'the service user may not open this folder' };
    throw error;
  }
}

/** A file is in the way of a folder, or the path grew too long under another top. */
const cannotKeepPath = (error: unknown): boolean =>
  error instanceof LedAstray || ['EEXIST', 'ENOTDIR', 'ENAMETOOLONG'].includes(codeOf(error) ?? '');
