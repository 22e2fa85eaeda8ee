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
  /** Bytes that were read, from `position` on; a large buffer is always read in the background. */
  read(fd: number, buffer: Uint8Array, position: number): Soon<number>;
}

const pool = {
  lstat: promisify(lstat),
  fstat: promisify(fstat),
  open: promisify(open),
  close: promisify(close),
  readlink: promisify(readlink),
  rename: promisify(rename),
  link: promisify(link),
  unlink: promisify(unlink),
  read: promisify(read),
};

/** Of a turn of the event loop, these calls take no more; the next of them waits for the next turn. */
const sliceMs = 4;
/** A call that took so long waited for a disk that is busy (from memory they take 5 µs)… */
const slowMs = 20;
/** …and so would the next ones: they go to the thread pool. */
const slowForMs = 500;
/** Up to here a read is cheaper than the way to the thread pool and back. */
const readAtOnceBytes = 64 * 1024;

/**
 * On a local file system a call made right here costs 5 µs, one by libuv's thread pool 20 µs and a turn of the event
 * loop: for small files that decides. Those calls are made in short slices, and by the pool while the disk is slow.
 * On a network file system, where a call may hang for ever, all go to the pool.
 */
export function createFileCalls({ onNetwork }: { readonly onNetwork: boolean }): FileCalls {
  let sliceEndsAtMs = 0;
  let slowUntilMs = onNetwork ? Number.POSITIVE_INFINITY : 0;
  let nextTurn: Promise<void> | undefined;

  const endSlice = (): void => {
    sliceEndsAtMs = 0;
  };
  const waitForNextTurn = (): Promise<void> => {
    nextTurn ??= new Promise((resolve) =>
      setImmediate(() => {
        nextTurn = undefined;
        resolve();
      }),
    );
    return nextTurn;
  };

  const call = <T>(here: () => T, byPool: () => Promise<T>): Soon<T> => {
    const nowMs = performance.now();
    if (nowMs < slowUntilMs) return byPool();
    if (sliceEndsAtMs === 0) {
      sliceEndsAtMs = nowMs + sliceMs;
      setImmediate(endSlice);
    } else if (nowMs > sliceEndsAtMs) {
      return waitForNextTurn().then(() => call(here, byPool));
    }
    try {
      return here();
    } finally {
      const endMs = performance.now();
      if (endMs - nowMs > slowMs) slowUntilMs = endMs + slowForMs;
    }
  };

  const bytes = { encoding: 'buffer' } as const;
  return {
    lstat: (path) =>
      call(
        () => lookHere(path),
        () => pool.lstat(path, exact).catch(undefinedIfGone),
      ),
    fstat: (fd) =>
      call(
        () => fstatSync(fd, exact),
        () => pool.fstat(fd, exact),
      ),
    open: (path, flags, mode = 0) =>
      call(
        () => openSync(path, flags, mode),
        () => pool.open(path, flags, mode),
      ),
    close: (fd) =>
      call(
        () => closeSync(fd),
        () => pool.close(fd),
      ),
    readlink: (path) =>
      call(
        () => readlinkSync(path, bytes),
        () => pool.readlink(path, bytes),
      ),
    rename: (from, to) =>
      call(
        () => renameSync(from, to),
        () => pool.rename(from, to),
      ),
    link: (existing, path) =>
      call(
        () => linkSync(existing, path),
        () => pool.link(existing, path),
      ),
    unlink: (path) =>
      call(
        () => unlinkSync(path),
        () => pool.unlink(path),
      ),
    read(fd, buffer, position) {
      const { byteLength } = buffer;
      const byPool = async () => (await pool.read(fd, buffer, 0, byteLength, position)).bytesRead;
      if (byteLength > readAtOnceBytes) return byPool();
      return call(() => readSync(fd, buffer, 0, byteLength, position), byPool);
    },
  };
}
