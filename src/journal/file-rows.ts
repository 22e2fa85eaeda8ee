import type { SQLOutputValue } from 'node:sqlite';
import type { Disposition, FileIdentity, RelativePath, SettledFile } from '../model.ts';
import { pathFromBytes } from '../service/path-bytes.ts';
import { identityFromText, identityText } from './identity-text.ts';

/**
 * The state of a path, as a machine:
 *
 *   (unknown) ── settled ──▶ queued ── outcome ──▶ stored ── row in Postgres ──▶ recorded ──▶ (moved away, forgotten)
 *                              ▲  │                                                 ├──▶ kept         (afterUpload: keep)
 *                   settled    │  │ changed while it was read                       └──▶ not-movable  (permissions)
 *                              settling
 *
 * In any state, a file that settles with another identity is another file: it starts as `queued`. Where nothing but
 * the ctime differs (mode, owner, links) it is most likely the same: it is `queued` with the state it had as
 * `rested_as`, hashed, and goes back there.
 */
export type FileState = 'settling' | 'queued' | 'stored' | 'recorded' | 'kept' | 'not-movable';

/** What the journal knows of the file at a path. */
export interface KnownFile {
  readonly state: FileState;
  readonly identity: FileIdentity;
}

/** A file that waits for its upload, with what earlier attempts left behind. */
export interface QueuedFile extends SettledFile {
  /** Grows with each time it is put in the queue: the order of the queue. */
  readonly position: number;
  readonly fileId: string;
  /** Attempts that failed so far. */
  readonly attempts: number;
  /** Milliseconds since 1970; 0 for at once. */
  readonly nextTryAt: number;
  /** Why the last attempt failed. */
  readonly lastError: string | undefined;
  /** The key that the last attempt used. */
  readonly key: string | undefined;
  /** A put of these bytes under `key` went out and was never answered. */
  readonly unansweredSha256: string | undefined;
  /** The id that its ledger row will have once it is stored: minted by the first attempt, undefined before. */
  readonly rowId: string | undefined;
  /** Its bytes were stored, and it was this, until its mode or owner changed: most likely the same bytes. */
  readonly restedAs: RestedAs | undefined;
}

/** The states of a file whose bytes are stored. */
export type RestedAs = Exclude<FileState, 'settling' | 'queued'>;

/** A look into the queue: all files that fit, up to `upTo`; `more` may lie behind it. */
export interface QueueWindow {
  readonly jobs: QueuedFile[];
  readonly upTo: number;
  readonly more: boolean;
}

/** Bytes, both included. */
export interface SizeRange {
  readonly least: number;
  readonly most: number;
}

/** A file whose row is in the ledger: what became of it may now be done. */
export interface RecordedFile {
  readonly path: RelativePath;
  readonly fileId: string;
  readonly identity: FileIdentity;
  readonly disposition: Disposition;
}

/** Nothing but the ctime differs: mode, owner or links changed, or somebody set the mtime back. */
export const onlyTouched = (one: FileIdentity, other: FileIdentity): boolean =>
  identityText({ ...one, ctimeNs: 0n }) === identityText({ ...other, ctimeNs: 0n });

type Row = Record<string, SQLOutputValue>;

const textOrUndefined = (value: SQLOutputValue | undefined) => (typeof value === 'string' ? value : undefined);

export const queuedFile = (row: Row): QueuedFile => ({
  position: Number(row['position']),
  path: pathFromBytes(row['path'] as Uint8Array),
  identity: identityFromText(String(row['identity'])),
  detectedAt: new Date(Number(row['detected_at'])),
  fileId: String(row['file_id']),
  attempts: Number(row['attempts']),
  nextTryAt: Number(row['next_try_at']),
  lastError: textOrUndefined(row['last_error']),
  key: textOrUndefined(row['key']),
  unansweredSha256: textOrUndefined(row['unanswered_sha256']),
  rowId: textOrUndefined(row['row_id']),
  restedAs: textOrUndefined(row['rested_as']) as RestedAs | undefined,
});

export const recordedFile = (row: Row): RecordedFile => ({
  path: pathFromBytes(row['path'] as Uint8Array),
  fileId: String(row['file_id']),
  identity: identityFromText(String(row['identity'])),
  disposition: JSON.parse(String(row['disposition'])) as Disposition,
});
