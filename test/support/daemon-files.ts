import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import type { RelativePath } from '../../src/model.ts';
import { bytesOf, joinPath, pathFromBytes } from '../../src/service/path-bytes.ts';

/** The file system's name of something below a folder. */
export const placeOf = (folder: string, path: RelativePath): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), bytesOf(path)]);

/** Every regular file below the folder, whatever its name. */
export async function filesIn(folder: string, inside = '' as RelativePath): Promise<RelativePath[]> {
  const entries = await readdir(placeOf(folder, inside), { encoding: 'buffer', withFileTypes: true });
  const found: RelativePath[] = [];
  for (const entry of entries) {
    const path = joinPath(inside, pathFromBytes(entry.name));
    if (entry.isDirectory()) found.push(...(await filesIn(folder, path)));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}

/** Hex. */
export async function sha256OfFile(file: string | Buffer): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

export const sha256Of = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');
