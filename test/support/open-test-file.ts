import { lstat, open } from 'node:fs/promises';
import type { FileIdentity, OpenFile, RelativePath } from '../../src/model.ts';

/** A file opened as the drop folder's room opens one, without its proof of the path. */
export async function openTestFile(fullPath: string, path: RelativePath): Promise<OpenFile & AsyncDisposable> {
  const handle = await open(fullPath);
  const identity = identityOf(await handle.stat({ bigint: true }));
  return {
    path,
    identity,
    owner: 'test',
    async unchanged() {
      const [byDescriptor, byPath] = await Promise.all([
        handle.stat({ bigint: true }),
        lstat(fullPath, { bigint: true }).catch(() => undefined),
      ]);
      return same(identity, identityOf(byDescriptor)) && byPath !== undefined && same(identity, identityOf(byPath));
    },
    read: async (buffer, position) => (await handle.read(buffer, 0, buffer.byteLength, position)).bytesRead,
    close: () => handle.close(),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

const identityOf = (stat: { ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }) => ({
  ino: stat.ino,
  size: Number(stat.size),
  mtimeNs: stat.mtimeNs,
  ctimeNs: stat.ctimeNs,
});

const same = (a: FileIdentity, b: FileIdentity) =>
  a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
