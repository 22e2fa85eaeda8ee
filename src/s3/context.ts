import type { Patience } from './attempts.ts';
import type { S3Calls, StoredAnswer } from './calls.ts';
import type { FairShares } from './fair-shares.ts';
import type { PartBuffers } from './part-buffers.ts';
import type { Sha256 } from './sha256.ts';

export type Checksums = 'send' | 'confirm' | 'off';

/** What all uploads of an engine share. */
export interface StoreContext {
  readonly bucket: string;
  readonly calls: S3Calls;
  readonly checksums: Checksums;
  readonly partSizeBytes: number;
  /** Over plain HTTP payloads are signed; over TLS the checksum is enough. */
  readonly signPayloads: boolean;
  readonly patience: Patience;
  /** Requests in flight, over all files. */
  readonly slots: FairShares;
  readonly buffers: PartBuffers;
  readonly sha256: Sha256;
  readonly confirm: Confirm;
}

/**
 * What the store says it verified, against what was sent: base64, or null where it says nothing. Throws a `ConfigError`
 * where `s3.checksums` is `confirm` and it says nothing, `ServiceUnavailable` where it says something else.
 */
export type Confirm = (answer: StoredAnswer, sent: number | undefined) => string | null;
