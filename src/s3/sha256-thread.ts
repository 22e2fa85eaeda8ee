import { createHash, type Hash } from 'node:crypto';
import { doJobs } from '../service/helper-thread.ts';

/** The other thread of `sha256.ts`. */
export interface HashJob {
  /** Whose running hash: `bytes` are added to it. Undefined: a hash of these bytes alone. */
  readonly file: number | undefined;
  /** The first of this file: a later one must find what the earlier ones began, or the thread broke down in between. */
  readonly begins?: boolean;
  readonly bytes?: Uint8Array;
  /** Ends the running hash: answers it, or drops it unanswered. */
  readonly end?: 'digest' | 'drop';
}

/** Hex, where one was asked for. */
export type HashAnswer = string | undefined;

const files = new Map<number, Hash>();

doJobs<HashJob, HashAnswer>(({ file, begins, bytes, end }) => {
  if (file === undefined) return sha256Of(bytes as Uint8Array);
  const hash = begins ? createHash('sha256') : files.get(file);
  if (hash === undefined) throw new Error('the hash of the earlier bytes is lost');
  if (bytes) hash.update(bytes);
  if (end === undefined) files.set(file, hash);
  else files.delete(file);
  return end === 'digest' ? hash.digest('hex') : undefined;
});

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
