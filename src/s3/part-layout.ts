import { FileRejected } from '../service/errors.ts';

/** S3's limits: 10,000 parts of at most 5 GiB. */
const maxParts = 10_000;
const mebibyte = 2 ** 20;
const maxPartBytes = 5 * 2 ** 30;

export interface PartRange {
  /** From 1. */
  readonly number: number;
  readonly start: number;
  readonly size: number;
}

/** The configured part size, raised by whole MiB so that 10,000 parts suffice. Throws `FileRejected` beyond S3's limit. */
export function partSizeFor(fileBytes: number, configuredBytes: number): number {
  const needed = Math.ceil(Math.ceil(fileBytes / maxParts) / mebibyte) * mebibyte;
  if (needed > maxPartBytes) {
    throw new FileRejected(`The file has ${fileBytes} bytes; S3 takes at most ${maxParts * maxPartBytes}`, {
      hint: 'Split the file.',
    });
  }
  return Math.max(configuredBytes, needed);
}

export function* partRanges(fileBytes: number, partSizeBytes: number): Generator<PartRange> {
  for (let number = 1, start = 0; start < fileBytes; number += 1, start += partSizeBytes) {
    yield { number, start, size: Math.min(partSizeBytes, fileBytes - start) };
  }
}
