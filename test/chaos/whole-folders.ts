/** Writers who bring, copy, rename and take whole folders. */
import { execFile } from 'node:child_process';
import { type FileHandle, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RelativePath } from '../../src/model.ts';
import { joinPath, pathFromText } from '../../src/service/path-bytes.ts';
import { bytesOfContent, type Content, sha256OfBytes } from './content.ts';
import type { KnownFile, NewFile } from './known-files.ts';
import { ifThere, openIfThere, statsIfThere, type WriterFiles } from './writer-files.ts';

const run = promisify(execFile);

export function createFolderWriter({ at, known, noteFate, makeParent, stagingPlace }: WriterFiles) {
  /** Contents by path of what was put into the folder that rsync mirrors. */
  const mirrored = new Map<RelativePath, Content>();

  const newFile = (path: RelativePath, content: Content): NewFile => {
    const bytes = bytesOfContent(content);
    return { path, sha256: sha256OfBytes(bytes), size: bytes.length };
  };

  const stageFolder = async (files: readonly Content[]): Promise<{ folder: string; names: [string, Content][] }> => {
    const folder = stagingPlace();
    await mkdir(folder);
    const names = files.map((content, index): [string, Content] => [`${index}.dat`, content]);
    for (const [name, content] of names) await writeFile(join(folder, name), bytesOfContent(content));
    return { folder, names };
  };

  /** What was in it is told by inodes, so that what the daemon had taken already is not counted. */
  const move = async (
    from: RelativePath,
    to: Buffer,
    each: (file: KnownFile, name: RelativePath, isThere: boolean) => void,
  ): Promise<void> => {
    const inodes = new Map<KnownFile, number>();
    for (const file of known.below(from)) {
      const stats = await statsIfThere(at(file.last.path));
      if (stats !== undefined) inodes.set(file, stats.ino);
    }
    if (!(await ifThere(rename(at(from), to)))) return;
    for (const [file, ino] of inodes) {
      const name = file.last.path.slice(from.length + 1) as RelativePath;
      const there = await statsIfThere(Buffer.concat([to, Buffer.from(`/${name}`, 'latin1')]));
      each(file, name, there?.ino === ino);
    }
  };

  return {
    async bring(into: RelativePath, files: readonly Content[]): Promise<void> {
      const { folder, names } = await stageFolder(files);
      await makeParent(into);
      await rename(folder, at(into));
      for (const [name, content] of names) known.add(newFile(joinPath(into, pathFromText(name)), content));
    },

    rename: (from: RelativePath, to: RelativePath): Promise<void> =>
      move(from, at(to), (file, name, isThere) => {
        const moved = { ...file.last, path: joinPath(to, name) };
        if (isThere) known.became(file, moved);
        else file.occurrences.push(moved); // the daemon may have taken it after it was moved
      }),

    async take(from: RelativePath): Promise<void> {
      const away = stagingPlace();
      await move(from, Buffer.from(away), (file, _name, isThere) => {
        if (isThere) file.fate = 'perhaps'; // the daemon may have had the folder open
      });
      await rm(away, { recursive: true, force: true });
    },

    /** `cp -r` into a folder that is not there yet. */
    async copy(into: RelativePath, files: readonly Content[]): Promise<void> {
      const { folder, names } = await stageFolder(files);
      await makeParent(into);
      await run('cp', ['-r', folder, at(into).toString()]);
      for (const [name, content] of names) {
        const path = joinPath(into, pathFromText(name));
        const file = known.add({ ...newFile(path, content), copied: content });
        // taken while it was copied, or after: nobody can tell
        if ((await statsIfThere(at(path)))?.size !== content.size) file.isLate = true;
      }
      await rm(folder, { recursive: true });
    },

    /** `rsync -a`, which writes beside and renames, and brings again what it does not find. */
    async mirror(into: RelativePath, changed: Readonly<Record<string, Content>>): Promise<void> {
      const source = `${stagingPlace().replace(/staged-\d+$/, '')}mirrored`;
      await mkdir(source, { recursive: true });
      await mkdir(at(into), { recursive: true });
      for (const [name, content] of Object.entries(changed)) {
        mirrored.set(joinPath(into, pathFromText(name)), content);
        await writeFile(join(source, name), bytesOfContent(content));
      }
      const held = new Map<RelativePath, FileHandle | undefined>();
      for (const path of mirrored.keys()) held.set(path, await openIfThere(at(path)));
      try {
        const { stdout } = await run('rsync', ['-a', '--out-format=%i %n', `${source}/`, at(into).toString()]);
        for (const [, name = ''] of stdout.matchAll(/^>f\S* (.+)$/gm)) {
          const path = joinPath(into, pathFromText(name));
          await noteFate(known.at(path), held.get(path));
          known.add(newFile(path, mirrored.get(path) as Content));
        }
      } finally {
        for (const handle of held.values()) await handle?.close();
      }
    },
  };
}
