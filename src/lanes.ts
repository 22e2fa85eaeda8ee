import type { QueuedFile, SizeRange } from './journal/files.ts';
import type { Journal } from './journal/journal.ts';
import type { Lane } from './queue/transfer-queue.ts';

/**
 * A small file's pass is one request between two commits of the journal, which many passes share: with so many of them
 * for each request that may be in flight, there is always one to send.
 */
const passesPerRequest = 4;

/** Small files, up to one part, go many at a time; large ones share the requests and the memory among few. */
export function lanesBySize(
  journal: Pick<Journal, 'files'>,
  { partSizeMiB, concurrency }: { readonly partSizeMiB: number; readonly concurrency: number },
): Lane<QueuedFile>[] {
  const partSizeBytes = partSizeMiB * 2 ** 20;
  const lane = (parallel: number, sizes: SizeRange): Lane<QueuedFile> => ({
    parallel,
    next: (position, limit) => journal.files.queuedAfter(position, sizes, limit),
  });
  return [
    lane(concurrency * passesPerRequest, { least: 0, most: partSizeBytes }),
    lane(Math.max(2, Math.ceil(concurrency / 2)), { least: partSizeBytes + 1, most: Number.MAX_SAFE_INTEGER }),
  ];
}
