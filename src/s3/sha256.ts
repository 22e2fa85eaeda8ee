import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
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

/** A thread that had nothing to do for so long is ended: it holds some megabytes. */
const idleMs = 30_000;

/**
 * Hashes on a thread of its own, started when first needed: SHA-256 costs as much as TLS, and the two go in parallel.
 * Bytes must be backed by shared memory, or they are copied.
 */
export function createSha256(): Sha256 {
  let thread: HashThread | undefined;
  let lastFile = 0;
  const ask = (job: Omit<HashJob, 'id'>) => {
    if (thread === undefined || thread.ended) thread = startThread();
    return thread.ask(job);
  };
  return {
    async of(bytes) {
      if (bytes.byteLength <= hashedHere) return createHash('sha256').update(bytes).digest('hex');
      return (await ask({ file: undefined, bytes })) as string;
    },
    start() {
      lastFile += 1;
      const file = lastFile;
      let open = false;
      return {
        async add(bytes) {
          open = true;
          await ask({ file, bytes });
        },
        async digest() {
          open = false;
          return (await ask({ file, end: 'digest' })) as string;
        },
        [Symbol.dispose]() {
          if (open) ask({ file, end: 'drop' }).catch(() => {});
          open = false;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await thread?.end();
    },
  };
}

interface HashThread {
  readonly ended: boolean;
  ask(job: Omit<HashJob, 'id'>): Promise<string | undefined>;
  end(): Promise<void>;
}

function startThread(): HashThread {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./sha256-thread.${extension}`, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  worker.unref();
  const waiting = new Map<number, { resolve(hex: string | undefined): void; reject(error: unknown): void }>();
  const runningFiles = new Set<number>();
  let lastId = 0;
  let ended = false;
  let idle: NodeJS.Timeout | undefined;

  async function end(): Promise<void> {
    ended = true;
    clearTimeout(idle);
    await worker.terminate();
  }
  const failAll = (error: unknown) => {
    ended = true;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', failAll);
  worker.on('exit', () => failAll(new Error('the hashing thread has ended')));
  worker.on('message', ({ id, hex }: HashAnswer) => {
    waiting.get(id)?.resolve(hex);
    waiting.delete(id);
    if (waiting.size > 0) return;
    worker.unref();
    if (runningFiles.size === 0) idle = setTimeout(() => void end(), idleMs).unref();
  });

  return {
    get ended() {
      return ended;
    },
    ask(job) {
      clearTimeout(idle);
      if (job.file !== undefined) {
        if (job.end === undefined) runningFiles.add(job.file);
        else runningFiles.delete(job.file);
      }
      lastId += 1;
      const id = lastId;
      worker.ref();
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        worker.postMessage({ ...job, id } satisfies HashJob);
      });
    },
    end,
  };
}
