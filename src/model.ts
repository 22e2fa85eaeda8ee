/**
 * The nouns of dropledger: types alone. Everything here is plain data or a function type, so that a room of `src/`
 * can be read, tested and replaced without the others.
 */

/**
 * A path relative to the drop folder, `/`-separated, one character a byte (latin1): names that are not UTF-8 survive,
 * and it serves as a Map key. `service/path-bytes.ts` turns it into bytes for the file system and into text for people.
 */
export type RelativePath = string & { readonly brand: 'RelativePath' };

/**
 * What makes a file the same file: inodes are reused and mtimes are forged, so all of it together. The device's number is
 * none of it: a reboot, or mounting the folder again, may change that.
 */
export interface FileIdentity {
  readonly ino: bigint;
  /** Bytes. */
  readonly size: number;
  readonly mtimeNs: bigint;
  /** A rename changes it, so it counts while the file rests in the drop folder and not after it was moved. */
  readonly ctimeNs: bigint;
}

/** A file at rest: complete as far as anyone can tell from outside. */
export interface SettledFile {
  readonly path: RelativePath;
  readonly identity: FileIdentity;
  /** When it was first seen, by an event or a scan. */
  readonly detectedAt: Date;
}

/** One open descriptor, proved to be the settled file and to lie inside the drop folder. */
export interface OpenFile {
  readonly path: RelativePath;
  readonly identity: FileIdentity;
  /** User name of the owner, its number where it has no name. */
  readonly owner: string;
  /** Whether descriptor and path still are the file that was opened (`fstat` and `lstat` agree with `identity`). */
  unchanged(): Promise<boolean>;
  /** Fills the buffer from `position` on, as far as one call goes: bytes that were read, 0 at the end. */
  read(buffer: Uint8Array, position: number): number | Promise<number>;
  close(): void | Promise<void>;
}

/**
 * What S3 acknowledged. All that is null-able is null where the answer was lost; `versionId` also in a bucket without
 * versions, `etag` and `requestId` where a store gives none.
 */
export interface StoredObject {
  readonly bucket: string;
  readonly key: string;
  /** Hex, over the whole file, from the read pass that was uploaded. */
  readonly sha256: string;
  readonly etag: string | null;
  readonly versionId: string | null;
  readonly requestId: string | null;
  /** `CRC32`, over the whole object, where the store confirmed it; else null. */
  readonly checksumType: string | null;
  /** Base64, as S3 writes it. */
  readonly checksum: string | null;
  /** 1 for a single put. */
  readonly partCount: number;
}

/** A part that S3 has. `crc32` is the unsigned 32-bit value over the part's bytes. */
export interface StoredPart {
  readonly number: number;
  readonly etag: string;
  readonly crc32: number;
  /** Bytes. */
  readonly size: number;
}

/** A multipart upload that was started for a file and is neither completed nor aborted, as far as is known. */
export interface MultipartProgress {
  readonly uploadId: string;
  readonly key: string;
  readonly partSizeBytes: number;
  readonly createdAt: Date;
  readonly parts: readonly StoredPart[];
}

/**
 * The durable notes an upload takes as it goes. Each promise resolves when the note is on disk; whoever calls it
 * awaits it before the act that it announces, so that a `kill -9` between the two loses nothing.
 */
export interface UploadNotes {
  /** A put, or a Complete, of these bytes is about to be sent: from here on the object may exist without our knowing. */
  storing(sha256: string): Promise<void>;
  /** Every attempt announced by `storing` was answered with a refusal: the object does not exist by our doing. */
  refused(): Promise<void>;
  multipartStarted(upload: Omit<MultipartProgress, 'parts'>): Promise<void>;
  partStored(uploadId: string, part: StoredPart): Promise<void>;
  /** Aborted, or never known to S3: nothing of it is left there. (A completed one is forgotten with the outcome.) */
  multipartGone(uploadId: string): Promise<void>;
}

/** One file to store as one object. */
export interface StoreRequest {
  readonly file: OpenFile;
  readonly key: string;
  readonly contentType: string;
  /** User metadata, without the `x-amz-meta-` prefix; printable ASCII. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Send `If-None-Match: *`. */
  readonly onlyIfAbsent: boolean;
  /** An earlier attempt to store under this key went out and was never answered (this run or one before it). */
  readonly earlierUnanswered: boolean;
  /** A multipart upload of this very file that an earlier attempt left; the engine resumes or aborts it. */
  readonly resume: MultipartProgress | undefined;
  readonly notes: UploadNotes;
  /** Told after each piece is acknowledged: bytes of the file that S3 has so far. */
  onProgress(bytesStored: number): void;
}

export type StoreOutcome =
  | { readonly kind: 'stored'; readonly object: StoredObject }
  /** The file changed while it was read: nothing of it stays in the bucket. */
  | { readonly kind: 'changed' }
  /**
   * 412: the key exists. `ours`: `yes`, an unanswered attempt of ours stored exactly these bytes (proved);
   * `no`, somebody else's; `unknown`, an unanswered single put, undecidable with put-only rights.
   */
  | {
      readonly kind: 'key-taken';
      readonly ours: 'yes' | 'no' | 'unknown';
      readonly sha256: string;
      readonly partCount: number;
    };

/**
 * An upload engine. Throws the kinds of `service/errors.ts`: `CredentialsError`, `ServiceUnavailable`, `FileRejected`,
 * `ConfigError`; the signal's reason where it was aborted. Never resolves or rejects with a request still under way.
 */
export type StoreFile = (request: StoreRequest, signal: AbortSignal) => Promise<StoreOutcome>;

/** Aborts a multipart upload that is no longer wanted; an upload that S3 does not know is fine. Same errors. */
export type AbortUpload = (key: string, uploadId: string, signal: AbortSignal) => Promise<void>;

export type LedgerStatus = 'uploaded' | 'duplicate' | 'failed';

/**
 * A row of `dropledger.uploads`, as it is serialised into the outbox: keys are the columns, in the table's order
 * (`recorded_at` is the database's). Times are ISO 8601 in UTC with milliseconds.
 */
export interface LedgerRow {
  readonly id: string;
  readonly file_id: string;
  readonly host: string;
  readonly instance: string;
  readonly path: string;
  readonly size_bytes: number;
  readonly sha256: string | null;
  readonly modified_at: string;
  readonly file_owner: string | null;
  readonly content_type: string | null;
  readonly bucket: string;
  readonly object_key: string | null;
  readonly version_id: string | null;
  readonly etag: string | null;
  readonly s3_request_id: string | null;
  readonly checksum_type: string | null;
  readonly checksum: string | null;
  readonly part_count: number | null;
  readonly status: LedgerStatus;
  readonly error: string | null;
  readonly duplicate_of: string | null;
  readonly attempts: number;
  readonly detected_at: string;
  readonly started_at: string | null;
  readonly uploaded_at: string | null;
  readonly principal: string | null;
  readonly daemon_version: string;
  readonly chain: string;
  readonly seq: number;
  readonly previous_hash: string | null;
  readonly row_hash: string;
}

/** A row waiting for Postgres: `json` is sent verbatim, again if need be; `position` is its place in the queue. */
export interface OutboxRow {
  readonly position: number;
  readonly id: string;
  readonly fileId: string;
  readonly json: string;
}

/** Where the outbox takes its rows from and says what became of them: the journal, or a list in a test. */
export interface OutboxStore {
  /** The oldest rows that are still to be sent, in order. */
  next(limit: number): OutboxRow[];
  /** Resolves once all rows that it has given are on disk: none is sent before. */
  onDisk(): Promise<void>;
  /** They are committed in Postgres. */
  recorded(rows: readonly OutboxRow[]): Promise<void>;
  /** Postgres refuses this row for its content: it is kept, out of the way of the others. */
  setAside(row: OutboxRow, reason: string): Promise<void>;
}

/** What is to become of the file once its row is in the ledger. */
export type Disposition =
  | { readonly kind: 'after-upload'; readonly ledgerId: string }
  | { readonly kind: 'quarantine'; readonly reason: string; readonly hint: string; readonly ledgerId: string };

/** A fact for the journal of the system, by its fixed event word. Values are escaped by the logger, never by callers. */
export type EventName =
  | 'ready'
  | 'uploaded'
  | 'duplicate'
  | 'quarantined'
  | 'retrying'
  | 'paused'
  | 'resumed'
  | 'ledger-down'
  | 'ledger-up'
  | 'credentials-expiring'
  | 'rescan-found'
  | 'not-movable'
  | 'journal-reset'
  | 'stopping'
  | 'stopped'
  | 'warning'
  | 'reloaded'
  | 'gone'
  | 'set-aside'
  | 'put-back';

export type EventFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** The logger that every room gets: one line a fact. The level is the syslog priority's: info 6, warning 4, error 3. */
export interface EventLog {
  info(event: EventName, fields: EventFields, message?: string): void;
  warning(event: EventName, fields: EventFields, message?: string): void;
  error(event: EventName, fields: EventFields, message?: string): void;
  debug(message: string, fields?: EventFields): void;
}
