/** Writers who write into the file itself, while it lies in the drop folder. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RelativePath } from '../../src/model.ts';
import { codeOf } from '../../src/service/errors.ts';
import { bytesOfContent, type Content, createRunningSha256, sha256OfBytes } from './content.ts';
import type { KnownFile } from './known-files.ts';
import { openIfThere, statsIfThere, type WriterFiles } from './writer-files.ts';

const sha256OfNothing = sha256OfBytes(Buffer.alloc(0));

export function createInPlaceWriter({ at, known, makeParent }: WriterFiles) {
  const hashes = new Map<KnownFile, ReturnType<typeof createRunningSha256>>();

  /** The file that is there, or a new one: never one that this writer does not know. */
  const openInPlace = async (path: RelativePath, flags: number): Promise<{ handle: FileHandle; file: KnownFile }> => {
    await makeParent(path);
    for (;;) {
      const there = await openIfThere(at(path), constants.O_WRONLY | flags);
      const file = known.at(path);
      if (there !== undefined && file !== undefined) return { handle: there, file };
      if (there !== undefined) throw new Error(`nobody put anything under ${path}`);
      try {
        const handle = await open(at(path), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | flags);
        const added = known.add({ path, sha256: sha256OfNothing, size: 0 });
        hashes.set(added, createRunningSha256());
        return { handle, file: added };
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error; // it came back from the archive
      }
    }
  };

  const writeMore = async (handle: FileHandle, file: KnownFile, bytes: Buffer): Promise<void> => {
    await handle.writeFile(bytes);
    const sha256 = hashes.get(file)?.add(bytes);
    if (sha256 === undefined) throw new Error('nobody knows what was in the file');
    known.became(file, { size: file.last.size + bytes.length, sha256 });
    const [mine, there] = await Promise.all([handle.stat(), statsIfThere(at(file.last.path))]);
    if (mine.ino !== there?.ino) file.isLate = true;
  };

  return {
    /** Empties it, and writes it anew in so many pieces. */
    async write(
      path: RelativePath,
      { content, pieces, pauseMs }: { content: Content; pieces: number; pauseMs: number },
    ): Promise<void> {
      const bytes = bytesOfContent(content);
      const { handle, file } = await openInPlace(path, constants.O_TRUNC);
      try {
        hashes.set(file, createRunningSha256());
        known.became(file, { size: 0, sha256: sha256OfNothing });
        const pieceBytes = Math.max(1, Math.ceil(bytes.length / pieces));
        for (let from = 0; from === 0 || from < bytes.length; from += pieceBytes) {
          if (from > 0) await sleep(pauseMs);
          await writeMore(handle, file, bytes.subarray(from, from + pieceBytes));
        }
      } finally {
        await handle.close();
      }
    },

    async append(path: RelativePath, content: Content): Promise<void> {
      const { handle, file } = await openInPlace(path, constants.O_APPEND);
      try {
        await writeMore(handle, file, bytesOfContent(content));
      } finally {
        await handle.close();
      }
    },
  };
}
