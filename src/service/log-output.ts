import { writeSync } from 'node:fs';
import { codeOf } from './errors.ts';

/** Bytes a turn of the event loop writes at most: what the reader takes in well under 50 ms. */
const sliceBytes = 64 * 1024;
/** Characters that may wait for a reader that doesn't read; past it, lines are counted and dropped. */
const maxWaiting = 16 * 1024 * 1024;
const retryMs = 10;
const patienceAtExitMs = 2000;

export interface LogOutput {
  /** Takes one line, without its end. Never throws, never waits. */
  write(line: string): void;
  /** Writes everything that waits, now: for the exit. Gives up after 2 s on a reader that doesn't read. */
  flush(): void;
}

/**
 * Writes lines to a descriptor, each turn's lines together, by one synchronous write. A thread pool's write would not block,
 * but the pool also reads the files: lines would wait behind them, and overtake each other or get lost at a
 * crash. A synchronous one costs microseconds a batch, keeps the order, and `flush` makes it complete at exit. If the
 * reader stalls, so do we after a pipe's worth of lines, as every program that logs to journald does; a descriptor
 * that is non-blocking is asked again later instead.
 *
 * @param onLost told, once writing works again, how many lines could not be written (a full disk, a gone reader)
 */
export function createLogOutput(fd: number, onLost: (lines: number) => void): LogOutput {
  const lines: string[] = [];
  let waiting = 0;
  /** The rest of a slice that was written in part. */
  let rest: Buffer = Buffer.alloc(0);
  let scheduled = false;
  let lost = 0;

  const nextSlice = (): Buffer => {
    let count = 0;
    let size = 0;
    while (count < lines.length && size < sliceBytes) {
      size += lines[count]?.length ?? 0;
      count += 1;
    }
    waiting -= size;
    return Buffer.from(lines.splice(0, count).join(''));
  };

  /** False where the descriptor takes nothing at present. */
  const writeSlice = (): boolean => {
    if (rest.length === 0) rest = nextSlice();
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') return false;
      lost += rest.reduce((newlines, byte) => newlines + (byte === 0x0a ? 1 : 0), 0);
      rest = Buffer.alloc(0);
      return true;
    }
    if (lost > 0) {
      const count = lost;
      lost = 0;
      onLost(count);
    }
    return true;
  };

  const isEmpty = (): boolean => rest.length === 0 && lines.length === 0;

  const turn = (): void => {
    scheduled = false;
    if (isEmpty()) return;
    const taken = writeSlice();
    if (!isEmpty()) schedule(taken);
  };

  const schedule = (readerReads: boolean): void => {
    if (scheduled) return;
    scheduled = true;
    if (readerReads) setImmediate(turn);
    else setTimeout(turn, retryMs);
  };

  return {
    write(line) {
      if (waiting > maxWaiting) {
        lost += 1;
        return;
      }
      lines.push(`${line}\n`);
      waiting += line.length + 1;
      schedule(true);
    },
    flush() {
      const pause = new Int32Array(new SharedArrayBuffer(4));
      const until = performance.now() + patienceAtExitMs;
      while (!isEmpty()) {
        if (writeSlice()) continue;
        if (performance.now() > until) return;
        Atomics.wait(pause, 0, 0, retryMs);
      }
    },
  };
}
