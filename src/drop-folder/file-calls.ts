import {
  type BigIntStats,
  close,
  closeSync,
  fstat,
  fstatSync,
  link,
  linkSync,
  lstat,
  lstatSync,
  open,
  openSync,
  read,
  readlink,
  readlinkSync,
  readSync,
  rename,
  renameSync,
  unlink,
  unlinkSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { codeOf } from '../service/errors.ts';

const exact = { bigint: true } as const;

/** Nothing there is an answer like any other; an exception for it would cost more than the call. */
function lookHere(path: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    return undefinedIfGone(error);
  }
}

function undefinedIfGone(error: unknown): undefined {
  const code = codeOf(error);
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
}

/** At once or in a while: to be awaited. */
type Soon<T> = T | Promise<T>;

/** The system calls that every file takes a dozen of. Each throws, or rejects with, the system's error. */
export interface FileCalls {
  /** Undefined where nothing is. */
  lstat(path: Buffer): Soon<BigIntStats | undefined>;
  fstat(fd: number): Soon<BigIntStats>;
  open(path: Buffer, flags: number, mode?: number): Soon<number>;
  close(fd: number): Soon<void>;
  readlink(path: string): Soon<Buffer>;
  rename(from: Buffer, to: Buffer): Soon<void>;
  link(existing: Buffer, path: Buffer): Soon<void>;
  unlink(path: Buffer): Soon<void>;
  /** Bytes that were read, from `position` on. */
  read(fd: number, buffer: Uint8Array, position: number): Soon<number>;
}

const bytes = { encoding: 'buffer' } as const;

/** For a thread that has nothing else to do than to wait for them. */
export const blockingFileCalls = {
  lstat: lookHere,
  fstat: (fd: number) => fstatSync(fd, exact),
  open: (path: Buffer, flags: number, mode = 0) => openSync(path, flags, mode),
  close: closeSync,
  readlink: (path: string) => readlinkSync(path, bytes),
  rename: renameSync,
  link: linkSync,
  unlink: unlinkSync,
  read: (fd: number, buffer: Uint8Array, position: number) => readSync(fd, buffer, 0, buffer.byteLength, position),
} satisfies FileCalls;

const pool = {
  lstat: promisify(lstat),
  fstat: promisify(fstat),
  open: promisify(open),
  close: promisify(close),
  readlink: promisify(readlink),
  read: promisify(read),
};

/** By the threads of libuv's pool. */
const pooledFileCalls = {
  lstat: (path: Buffer) => pool.lstat(path, exact).catch(undefinedIfGone),
  fstat: (fd: number) => pool.fstat(fd, exact),
  open: (path: Buffer, flags: number, mode = 0) => pool.open(path, flags, mode),
  close: pool.close,
  readlink: (path: string) => pool.readlink(path, bytes),
  rename: promisify(rename),
  link: promisify(link),
  unlink: promisify(unlink),
  async read(fd: number, buffer: Uint8Array, position: number) {
    return (await pool.read(fd, buffer, 0, buffer.byteLength, position)).bytesRead;
  },
} satisfies FileCalls;

/** Of a turn of the event loop, these calls take no more; the next of them waits for the next turn. */
const sliceMs = 2;
/** A call that took so long waited for a disk that is busy (from memory they take 5 µs)… */
const slowMs = 20;
/** …and so would the next ones: they go to the thread pool. */
const slowForMs = 500;
/** Up to here a read is cheaper than the way to the thread pool and back. */
const readAtOnceBytes = 64 * 1024;

/**
 * On a local file system a look made right here costs 5 µs, one by libuv's thread pool 20 µs and a turn of the event
 * loop: for small files that decides. Looks are made in short slices, and by the pool while the disk is slow. What
 * changes a folder waits for the file system's own journal, a second and more on a busy disk: that goes to the pool.
 * On a network file system, where a call may hang for ever, all go there.
 */
export function createFileCalls({ onNetwork }: { readonly onNetwork: boolean }): FileCalls {
  if (onNetwork) return pooledFileCalls;
  let sliceEndsAtMs = 0;
  let slowUntilMs = 0;
  let nextTurn: Promise<void> | undefined;

  const endSlice = (): void => {
    sliceEndsAtMs = 0;
  };
  const waitForNextTurn = (): Promise<void> => {
    // A timer's turn, and not an immediate's: between the two, requests are sent.
    nextTurn ??= new Promise((resolve) =>
      setTimeout(() => {
        nextTurn = undefined;
        resolve();
      }, 0),
    );
    return nextTurn;
  };

  /** By the pool while the disk is slow; else here, in this turn of the event loop or the next. */
  const inSlices = <Args extends unknown[], T>(
    here: (...args: Args) => T,
    byPool: (...args: Args) => Promise<T>,
  ): ((...args: Args) => Soon<T>) => {
    const call = (...args: Args): Soon<T> => {
      const nowMs = performance.now();
      if (nowMs < slowUntilMs) return byPool(...args);
      if (sliceEndsAtMs === 0) {
        sliceEndsAtMs = nowMs + sliceMs;
        setImmediate(endSlice);
      } else if (nowMs > sliceEndsAtMs) {
        return waitForNextTurn().then(() => call(...args));
      }
      try {
        return here(...args);
      } finally {
        const endMs = performance.now();
        if (endMs - nowMs > slowMs) slowUntilMs = endMs + slowForMs;
      }
    };
    return call;
  };

  const readInSlices = inSlices(blockingFileCalls.read, pooledFileCalls.read);
  return {
    lstat: inSlices(blockingFileCalls.lstat, pooledFileCalls.lstat),
    fstat: inSlices(blockingFileCalls.fstat, pooledFileCalls.fstat),
    open: inSlices(blockingFileCalls.open, pooledFileCalls.open),
    close: inSlices(blockingFileCalls.close, pooledFileCalls.close),
    readlink: inSlices(blockingFileCalls.readlink, pooledFileCalls.readlink),
    rename: pooledFileCalls.rename,
    link: pooledFileCalls.link,
    unlink: pooledFileCalls.unlink,
    read: (fd, buffer, position) =>
      buffer.byteLength > readAtOnceBytes
        ? pooledFileCalls.read(fd, buffer, position)
        : readInSlices(fd, buffer, position),
  };
}
