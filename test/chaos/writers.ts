/** Does in the drop folder what the plan says, and notes what is certain about it and what is not. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, rename, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { RelativePath } from '../../src/model.ts';
import { codeOf } from '../../src/service/errors.ts';
import { joinPath, parentOf, pathFromBytes, pathFromText } from '../../src/service/path-bytes.ts';
import { placeOf } from '../support/daemon-files.ts';
import { hostileNames } from '../support/sample-tree.ts';
import { bytesOfContent, type Content, createRunningSha256, sha256OfBytes } from './content.ts';
import type { KnownFile, KnownFiles } from './known-files.ts';
import type { WriterAct } from './writer-plan.ts';

const run = promisify(execFile);

export interface WriterPlaces {
  readonly inbox: string;
  /** Outside the drop folder, on the same file system. */
  readonly outside: string;
  readonly known: KnownFiles;
  /** The daemon deletes what it has recorded: of a file that is gone nobody can tell who did it. */
  readonly daemonDeletes: boolean;
}

const tooLong = /object key would have \d+ bytes/;
const names = [
  ...hostileNames.map(({ name, rejected }) => ({ path: pathFromBytes(name), rejected })),
  { path: pathFromText(Array(5).fill('k'.repeat(220)).join('/')), rejected: tooLong },
];

export function createWriter({ inbox, outside, known, daemonDeletes }: WriterPlaces) {
  const lastPut = new Map<RelativePath, Content>();
  const running = new Map<KnownFile, ReturnType<typeof createRunningSha256>>();
  let staged = 0;
  let touches = 0;

  const stage = async (bytes: Uint8Array): Promise<string> => {
    staged += 1;
    const file = join(outside, `staged-${staged}`);
    await writeFile(file, bytes);
    return file;
  };

  const makeParent = (path: RelativePath) => mkdir(placeOf(inbox, parentOf(path)), { recursive: true });

  /** What a rename or a delete did to the file that was there: the descriptor knows whether a name is left. */
  const noteFate = async (before: KnownFile | undefined, held: FileHandle | undefined): Promise<void> => {
    if (before === undefined) return;
    if (held === undefined) {
      // What was changed in place may have been on its way back from the archive just then.
      if (before.occurrences.length > 1) before.fate = 'perhaps';
    } else if ((await held.stat()).nlink === 0) before.fate = daemonDeletes ? 'perhaps' : 'destroyed';
  };

  const replace = async (staging: string | Buffer, path: RelativePath, file: Parameters<KnownFiles['add']>[0]) => {
    const held = await openIfThere(placeOf(inbox, path));
    try {
      await rename(staging, placeOf(inbox, path));
      await noteFate(known.at(path), held);
      known.add(file);
    } finally {
      await held?.close();
    }
  };

  const put = async (path: RelativePath, content: Content, from: 'outside' | 'beside', rejected?: RegExp) => {
    const bytes = bytesOfContent(content);
    await makeParent(path);
    let staging: string | Buffer;
    if (from === 'beside') {
      staging = placeOf(inbox, `${path}.filepart` as RelativePath);
      await writeFile(staging, bytes);
    } else staging = await stage(bytes);
    lastPut.set(path, content);
    await replace(staging, path, { path, sha256: sha256OfBytes(bytes), size: bytes.length, rejected });
  };

  /** Opens for writing in place: the file that is there, or a new one. */
  const openInPlace = async (path: RelativePath, flags: number): Promise<{ handle: FileHandle; file: KnownFile }> => {
    await makeParent(path);
    for (;;) {
      const there = await openIfThere(placeOf(inbox, path), constants.O_WRONLY | flags);
      const file = known.at(path);
      if (there !== undefined && file !== undefined) return { handle: there, file };
      if (there !== undefined) throw new Error(`nobody put anything under ${path}`);
      try {
        const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | flags;
        const handle = await open(placeOf(inbox, path), create);
        const added = known.add({ path, sha256: sha256OfBytes(Buffer.alloc(0)), size: 0 });
        running.set(added, createRunningSha256());
        return { handle, file: added };
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
    }
  };

  const writeMore = async (handle: FileHandle, file: KnownFile, bytes: Buffer): Promise<void> => {
    await handle.writeFile(bytes);
    const size = file.last.size + bytes.length;
    const sha256 = running.get(file)?.add(bytes);
    if (sha256 === undefined) throw new Error('nobody knows what was in the file');
    known.became(file, { size, sha256 });
    const [mine, there] = await Promise.all([handle.stat(), statsIfThere(placeOf(inbox, file.last.path))]);
    if (mine.ino !== there?.ino) file.isLate = true;
  };

  const write = async ({ path: text, content, pieces, pauseMs }: Extract<WriterAct, { does: 'write' }>) => {
    const path = pathFromText(text);
    const bytes = bytesOfContent(content);
    const { handle, file } = await openInPlace(path, constants.O_TRUNC);
    try {
      running.set(file, createRunningSha256());
      known.became(file, { size: 0, sha256: sha256OfBytes(Buffer.alloc(0)) });
      const pieceBytes = Math.max(1, Math.ceil(bytes.length / pieces));
      for (let at = 0; at === 0 || at < bytes.length; at += pieceBytes) {
        if (at > 0) await sleep(pauseMs);
        await writeMore(handle, file, bytes.subarray(at, at + pieceBytes));
      }
    } finally {
      await handle.close();
    }
  };

  const append = async (path: RelativePath, content: Content): Promise<void> => {
    const { handle, file } = await openInPlace(path, constants.O_APPEND);
    try {
      await writeMore(handle, file, bytesOfContent(content));
    } finally {
      await handle.close();
    }
  };

  const remove = async (path: RelativePath): Promise<void> => {
    const held = await openIfThere(placeOf(inbox, path));
    try {
      await unlink(placeOf(inbox, path));
      await noteFate(known.at(path), held);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    } finally {
      await held?.close();
    }
  };

  const touch = async (path: RelativePath, how: 'mode' | 'times'): Promise<void> => {
    touches += 1;
    try {
      if (how === 'mode') await chmod(placeOf(inbox, path), 0o600 + 0o040 * (touches % 2));
      else await utimes(placeOf(inbox, path), new Date(), new Date());
      const file = known.at(path);
      if (file !== undefined && how === 'times') known.became(file, {});
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  };

  const stageFolder = async (files: readonly Content[]): Promise<{ folder: string; inIt: [string, Content][] }> => {
    staged += 1;
    const folder = join(outside, `staged-${staged}`);
    await mkdir(folder);
    const inIt = files.map((content, index): [string, Content] => [`${index}.dat`, content]);
    for (const [name, content] of inIt) await writeFile(join(folder, name), bytesOfContent(content));
    return { folder, inIt };
  };

  const newFile = (path: RelativePath, content: Content) => {
    const bytes = bytesOfContent(content);
    return { path, sha256: sha256OfBytes(bytes), size: bytes.length };
  };

  const folderIn = async (into: RelativePath, files: readonly Content[]): Promise<void> => {
    const { folder, inIt } = await stageFolder(files);
    await makeParent(into);
    await rename(folder, placeOf(inbox, into));
    for (const [name, content] of inIt) known.add(newFile(joinPath(into, pathFromText(name)), content));
  };

  const copy = async (into: RelativePath, files: readonly Content[]): Promise<void> => {
    const { folder, inIt } = await stageFolder(files);
    await makeParent(into);
    await run('cp', ['-r', folder, placeOf(inbox, into).toString()]);
    for (const [name, content] of inIt) {
      const path = joinPath(into, pathFromText(name));
      const file = known.add({ ...newFile(path, content), copied: content });
      if ((await statsIfThere(placeOf(inbox, path)))?.size !== content.size) file.isLate = true;
    }
  };

  const rsync = async (into: RelativePath, changed: Readonly<Record<string, Content>>): Promise<void> => {
    const source = join(outside, `mirrored ${into.replaceAll('/', ' ')}`);
    await mkdir(source, { recursive: true });
    await makeParent(joinPath(into, 'x' as RelativePath));
    for (const [name, content] of Object.entries(changed)) {
      lastPut.set(joinPath(into, pathFromText(name)), content);
      await writeFile(join(source, name), bytesOfContent(content));
    }
    const held = new Map<RelativePath, FileHandle | undefined>();
    for (const path of lastPut.keys()) held.set(path, await openIfThere(placeOf(inbox, path)));
    try {
      const args = ['-a', '--out-format=%i %n', `${source}/`, placeOf(inbox, into).toString()];
      const { stdout } = await run('rsync', args);
      for (const [, name = ''] of stdout.matchAll(/^>f\S* (.+)$/gm)) {
        const path = joinPath(into, pathFromText(name));
        await noteFate(known.at(path), held.get(path));
        known.add(newFile(path, lastPut.get(path) as Content));
      }
    } finally {
      for (const handle of held.values()) await handle?.close();
    }
  };

  /** Renames a folder away; what it held is told by its inode, so that what the daemon had taken is not counted. */
  const moveFolder = async (from: RelativePath, to: Buffer, each: (file: KnownFile, name: RelativePath, isThere: boolean) => void) => {
    const inodes = new Map<KnownFile, number>();
    for (const file of known.below(from)) {
      const stats = await statsIfThere(placeOf(inbox, file.last.path));
      if (stats !== undefined) inodes.set(file, stats.ino);
    }
    try {
      await rename(placeOf(inbox, from), to);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw error;
    }
    for (const [file, ino] of inodes) {
      const name = file.last.path.slice(from.length + 1) as RelativePath;
      const there = await statsIfThere(Buffer.concat([to, Buffer.from(`/${name}`, 'latin1')]));
      each(file, name, there?.ino === ino);
    }
  };

  return async (act: WriterAct): Promise<void> => {
    const path = pathFromText('path' in act ? act.path : 'folder' in act ? act.folder : act.from);
    switch (act.does) {
      case 'put':
        return put(path, act.content, act.from);
      case 'put-again': {
        const content = lastPut.get(path);
        return content === undefined ? undefined : put(path, content, 'outside');
      }
      case 'put-hostile': {
        const { path: name, rejected } = names[act.name % names.length] as (typeof names)[number];
        return put(joinPath(path, name), act.content, 'outside', rejected);
      }
      case 'write':
        return write(act);
      case 'append':
        return append(path, act.content);
      case 'delete':
        return remove(path);
      case 'touch':
        return touch(path, act.how);
      case 'folder-in':
        return folderIn(path, act.files);
      case 'rename-folder': {
        const to = pathFromText(act.to);
        return moveFolder(path, placeOf(inbox, to), (file, name, isThere) => {
          const moved = { ...file.last, path: joinPath(to, name) };
          if (isThere) known.became(file, moved);
          else file.occurrences.push(moved); // the daemon may have taken it after it was moved
        });
      }
      case 'take-folder':
        staged += 1;
        return moveFolder(path, Buffer.from(join(outside, `staged-${staged}`)), (file, _name, isThere) => {
          if (isThere) file.fate = 'perhaps'; // the daemon may have had the folder open
        });
      case 'copy':
        return copy(path, act.files);
      case 'rsync':
        return rsync(path, act.changed);
      case 'unfinished':
        await makeParent(path);
        await writeFile(placeOf(inbox, path), bytesOfContent(act.content));
        known.ignored.add(path);
    }
  };
}

async function openIfThere(file: Buffer, flags: number = constants.O_RDONLY): Promise<FileHandle | undefined> {
  try {
    return await open(file, flags | constants.O_NOFOLLOW);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function statsIfThere(file: Buffer) {
  try {
    return await lstat(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
