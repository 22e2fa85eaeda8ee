import { createHash } from 'node:crypto';
import { createHelperThread } from '../service/helper-thread.ts';
import type { HashAnswer, HashJob } from './sha256-thread.ts';

/** SHA-256 over one file as its pieces come, in order. */
export interface RunningSha256 extends Disposable {
  /** Resolves when the bytes have been taken and their buffer may be used again. */
  add(bytes: Uint8Array): Promise<void>;
  /** Hex. */
  digest(): Promise<string>;
}

export interface Sha256 extends AsyncDisposable {
  /** Hex, of these bytes alone. */
  of(bytes: Uint8Array): Promise<string>;
  /** Disposing what was not digested forgets it. */
  start(): RunningSha256;
}

/** Up to here hashing takes less time than asking another thread: a quarter of a millisecond. */
const hashedHere = 256 * 1024;

/**
 * Hashes on a thread of its own, started when first needed: SHA-256 costs as much as TLS, and the two go in parallel.
 * Bytes must be backed by shared memory, or they are copied.
 */
export function createSha256(): Sha256 {
  const running = new Set<number>();
  let lastFile = 0;
  const thread = createHelperThread<HashJob, HashAnswer>({
    ...{ module: './sha256-thread', besides: import.meta.url },
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    mayEnd: () => running.size === 0,
  });
  return {
    async of(bytes) {
      if (bytes.byteLength <= hashedHere) return createHash('sha256').update(bytes).digest('hex');
      return (await thread.ask({ file: undefined, bytes })) as string;
    },
    start() {
      lastFile += 1;
      const file = lastFile;
      return {
        async add(bytes) {
          const begins = !running.has(file);
          running.add(file);
          await thread.ask({ file, begins, bytes });
        },
        async digest() {
          const begins = !running.delete(file);
          return (await thread.ask({ file, begins, end: 'digest' })) as string;
        },
        [Symbol.dispose]() {
          if (running.delete(file)) thread.ask({ file, end: 'drop' }).catch(() => {});
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await thread[Symbol.asyncDispose]();
    },
  };
}
