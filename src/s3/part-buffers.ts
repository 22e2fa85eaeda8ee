import { createFairShares, type Lane } from './fair-shares.ts';

export interface PartBuffer extends Disposable {
  /** Exactly the bytes asked for; large ones are backed by shared memory, so that another thread can hash them. */
  readonly bytes: Uint8Array<ArrayBufferLike>;
}

export interface PartBuffers extends Disposable {
  take(size: number, lane: Lane, signal: AbortSignal): Promise<PartBuffer>;
  /** A share of the memory for buffers that somebody else makes. */
  reserve(size: number, lane: Lane, signal: AbortSignal): Promise<Disposable>;
  /** Bytes of the largest buffer that can be had; what is larger must be streamed. */
  readonly largest: number;
}

/** Buffers for smaller files are of this size. */
const smallestBytes = 4096;
/**
 * Up to here buffers are memory of our own: such bytes are hashed on this thread, or, the tail of a large file, copied to
 * the other.
 */
const ownMemoryBytes = 64 * 1024;

/** Buffers that nobody took for so long are given back to the system. */
const idleMs = 15_000;

/**
 * All the memory for the bytes of files: `memoryBytes` bounds it over all files together. Buffers are used again, for
 * making one of 8 MiB for each part costs more than filling it.
 */
export function createPartBuffers({
  memoryBytes,
  partSizeBytes,
}: {
  readonly memoryBytes: number;
  readonly partSizeBytes: number;
}): PartBuffers {
  const reservedForSmall = memoryBytes >= 2 * partSizeBytes ? partSizeBytes : 0;
  const shares = createFairShares({ total: memoryBytes, reservedForSmall });
  const kept = new Map<number, Uint8Array[]>();
  let keptBytes = 0;
  let heldBytes = 0;
  let idle: NodeJS.Timeout | undefined;

  /** Buffers come in powers of two, and in part size: few sizes, so that a kept one fits. */
  function sizeClass(size: number): number {
    if (size > partSizeBytes) return size;
    return Math.min(2 ** Math.ceil(Math.log2(Math.max(size, smallestBytes))), partSizeBytes);
  }

  function obtain(size: number): Uint8Array {
    heldBytes += size;
    const buffer = kept.get(size)?.pop();
    if (buffer !== undefined) {
      keptBytes -= size;
      return buffer;
    }
    if (heldBytes + keptBytes > memoryBytes) forgetKept();
    return size > ownMemoryBytes ? new Uint8Array(new SharedArrayBuffer(size)) : Buffer.allocUnsafeSlow(size);
  }

  function keep(buffer: Uint8Array): void {
    const size = buffer.byteLength;
    heldBytes -= size;
    const same = kept.get(size);
    if (same === undefined) kept.set(size, [buffer]);
    else same.push(buffer);
    keptBytes += size;
    if (idle === undefined) idle = setTimeout(forgetKept, idleMs).unref();
    else idle.refresh();
  }

  function forgetKept(): void {
    kept.clear();
    keptBytes = 0;
    clearTimeout(idle);
    idle = undefined;
  }

  return {
    largest: shares.largest,
    reserve: (size, lane, signal) => shares.take(lane, Math.min(size, shares.largest), signal),
    async take(size, lane, signal) {
      const held = Math.min(sizeClass(size), shares.largest);
      const share = await shares.take(lane, held, signal);
      const buffer = obtain(held);
      let taken = true;
      return {
        bytes: buffer.byteLength === size ? buffer : buffer.subarray(0, size),
        [Symbol.dispose]() {
          if (!taken) return;
          taken = false;
          keep(buffer);
          share[Symbol.dispose]();
        },
      };
    },
    [Symbol.dispose]: forgetKept,
  };
}
