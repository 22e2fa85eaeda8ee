import { createHash, type Hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';

/** The other thread of `sha256.ts`. Jobs are done in the order they come. */
export interface HashJob {
  readonly id: number;
  /** Whose running hash: `bytes` are added to it. Undefined: a hash of these bytes alone. */
  readonly file: number | undefined;
  readonly bytes?: Uint8Array;
  /** Ends the running hash: answers it, or drops it unanswered. */
  readonly end?: 'digest' | 'drop';
}

export interface HashAnswer {
  readonly id: number;
  readonly hex?: string;
}

const files = new Map<number, Hash>();

function run({ file, bytes, end }: HashJob): string | undefined {
  if (file === undefined)
    return createHash('sha256')
      .update(bytes as Uint8Array)
      .digest('hex');
  const hash = files.get(file) ?? createHash('sha256');
  if (bytes) hash.update(bytes);
  if (end === undefined) files.set(file, hash);
  else files.delete(file);
  return end === 'digest' ? hash.digest('hex') : undefined;
}

parentPort?.on('message', (job: HashJob) => {
  const hex = run(job);
  parentPort?.postMessage({ id: job.id, ...(hex === undefined ? {} : { hex }) } satisfies HashAnswer);
});
