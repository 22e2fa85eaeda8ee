import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, renameSync, rmSync, type WriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';

/** Up to here bytes wait in memory and become a file in one go: small objects never wait for a thread. */
const memoryBytes = 256 * 1024;
/** Bytes that may wait for the disk before the client is held back. */
const writeAheadBytes = 4 * 1024 * 1024;

/** Content that is on its way in and visible to nobody. */
export interface StagedFile extends AsyncDisposable {
  readonly size: number;
  write(chunk: Buffer): Promise<void> | void;
  /** All is written. */
  finish(): Promise<void>;
  /**
   * Puts the finished file where it belongs, atomically, replacing what is there. Throws the system's error, and then
   * can be tried with another path.
   */
  moveTo(path: string): void;
  /** Throws away what was not moved. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** `directory` is on the same file system as the paths that files will be moved to; what an earlier run left is removed. */
export function createStaging(directory: string): () => StagedFile {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  return () => stagedFile(join(directory, randomUUID()));
}

function stagedFile(temporary: string): StagedFile {
  let size = 0;
  let inMemory: Buffer[] = [];
  let stream: WriteStream | undefined;
  let written = false;
  let moved = false;

  function openStream(): WriteStream {
    const opened = createWriteStream(temporary, { highWaterMark: writeAheadBytes });
    // The error itself reaches whoever writes next or finishes; without a listener it would end the process.
    opened.on('error', () => {});
    return opened;
  }

  return {
    get size() {
      return size;
    },
    write(chunk) {
      size += chunk.length;
      if (stream === undefined && size <= memoryBytes) {
        inMemory.push(chunk);
        return undefined;
      }
      if (stream === undefined) {
        stream = openStream();
        for (const earlier of inMemory) stream.write(earlier);
        inMemory = [];
      }
      if (stream.errored !== null) throw stream.errored;
      return stream.write(chunk) ? undefined : once(stream, 'drain').then(() => undefined);
    },
    async finish() {
      if (stream === undefined) return;
      stream.end();
      await finished(stream);
      written = true;
    },
    moveTo(path) {
      if (stream === undefined && !written) {
        writeFileSync(temporary, inMemory.length === 1 && inMemory[0] ? inMemory[0] : Buffer.concat(inMemory));
        written = true;
      }
      renameSync(temporary, path);
      moved = true;
    },
    async [Symbol.asyncDispose]() {
      if (moved) return;
      if (stream !== undefined && !stream.closed) {
        stream.destroy();
        await finished(stream).catch(() => undefined);
      }
      if (stream !== undefined || written) rmSync(temporary, { force: true });
    },
  };
}
