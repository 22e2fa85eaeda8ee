/**
 * One file's pass, top to bottom: open → (hash) → upload → into the outbox. What comes before is the drop folder's
 * business, what comes after the row is in the ledger is the disposal's. The parts are handed in as functions.
 */
import { v7 as uuidv7 } from 'uuid';
import type { OpenOutcome } from './drop-folder/open-file.ts';
import type { QueuedFile } from './journal/files.ts';
import type { Journal } from './journal/journal.ts';
import { duplicateRow, type EntryFacts, failedRow, type Origin, uploadedRow } from './ledger-entry.ts';
import type { Disposition, EventLog, OpenFile, StoredObject, StoreFile, StoreOutcome, UploadNotes } from './model.ts';
import type { UploadGate } from './queue/upload-gate.ts';
import {
  ConfigError,
  CredentialsError,
  DropledgerError,
  FileRejected,
  messageOf,
  ServiceUnavailable,
} from './service/errors.ts';
import { textOf } from './service/path-bytes.ts';

export interface TransferSteps {
  readonly origin: Origin;
  readonly onConflict: 'keep-both' | 'fail' | 'overwrite';
  readonly sharedPrefix: boolean;
  readonly conditionalWrites: boolean;
  readonly journal: Pick<Journal, 'files' | 'storedObjects' | 'multipart' | 'outbox'>;
  readonly gate: Pick<UploadGate, 'report' | 'succeeded' | 'isClosed'>;
  readonly log: EventLog;
  open(file: QueuedFile): Promise<OpenOutcome>;
  /** Hex; undefined where the file shrank. */
  hash(file: OpenFile, signal: AbortSignal): Promise<string | undefined>;
  objectKey(path: QueuedFile['path']): { readonly key: string } | { readonly rejected: string; readonly hint: string };
  conflictKey(key: string, sha256: string): string;
  conflictKeyById(key: string, rowId: string): string;
  contentType(key: string): string;
  readonly metadata: Readonly<Record<string, string>>;
  store: StoreFile;
  /** The file must come to rest again. */
  settleAnew(path: QueuedFile['path']): void;
  /** Whether the drop folder is still there, so that a missing file really is gone. */
  folderIsThere(): Promise<boolean>;
  /** A row is in the outbox. */
  rowWaits(): void;
  onProgress(file: QueuedFile, bytesStored: number): void;
  /** An attempt failed and will be repeated. */
  onRetry(kind: RetryKind): void;
  retryDelayMs(attempt: number): number;
}

/** One attempt to upload one file. */
interface Pass {
  readonly file: QueuedFile;
  readonly opened: OpenFile;
  readonly startedAt: Date;
  readonly signal: AbortSignal;
}

/** What an attempt came to, before it is written down. */
type Upload =
  | { readonly kind: 'stored'; readonly object: StoredObject; readonly rowId: string }
  | Duplicate
  | { readonly kind: 'untouched' | 'other-bytes' | 'changed' };

interface Duplicate {
  readonly kind: 'duplicate';
  readonly key: string;
  readonly sha256: string;
  /** The ledger id of the row that has this content. */
  readonly of: string;
}

/** A pass never leaves the file in limbo: whatever happens, its state in the journal says what comes next. */
export function createTransfer(steps: TransferSteps) {
  const { journal, log, gate } = steps;

  return async (file: QueuedFile, signal: AbortSignal): Promise<number | undefined> => {
    const startedAt = new Date();
    try {
      const outcome = await steps.open(file);
      switch (outcome.kind) {
        case 'vanished':
          if (!(await steps.folderIsThere()))
            return await tryAgain(steps, file, 'folder', 'the drop folder is not there');
          await journal.files.forget(file);
          if (file.restedAs === undefined) {
            log.info('gone', { path: textOf(file.path) }, 'it left the folder before it was uploaded');
          }
          return undefined;
        case 'changed':
          return await settleAnew(steps, file);
        case 'unreadable':
          return await tryAgain(
            steps,
            file,
            'unreadable',
            outcome.reason,
            'let the service user read it (chmod g+r, or a default ACL)',
          );
        case 'open':
          return await withFile(outcome.file, (opened) => uploadAndRecord(steps, { file, opened, startedAt, signal }));
      }
    } catch (error) {
      if (signal.aborted) return undefined; // it stays in the queue for the next start
      if (error instanceof FileRejected) return await reject(steps, file, error, startedAt);
      if (error instanceof CredentialsError || error instanceof ConfigError) {
        if (gate.report(error, file.path)) return Date.now();
      }
      if (error instanceof ServiceUnavailable) gate.report(error, file.path);
      return tryAgain(steps, file, kindOf(error), messageOf(error), hintOf(error));
    }
  };
}

async function withFile<T>(file: OpenFile, use: (file: OpenFile) => Promise<T>): Promise<T> {
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function uploadAndRecord(steps: TransferSteps, pass: Pass): Promise<number | undefined> {
  const { file } = pass;
  const outcome = await upload(steps, pass);
  switch (outcome.kind) {
    case 'changed':
      return settleAnew(steps, file);
    case 'other-bytes':
      await steps.journal.files.renew(file);
      return Date.now();
    case 'untouched':
      await steps.journal.files.untouched(file);
      return undefined;
    case 'duplicate':
      return recordDuplicate(steps, pass, outcome);
    case 'stored':
      return recordStored(steps, pass, outcome.object, outcome.rowId);
  }
}

async function upload(steps: TransferSteps, pass: Pass): Promise<Upload> {
  const { journal, onConflict } = steps;
  const { file, opened, signal } = pass;
  const { path, identity } = file;
  const named = steps.objectKey(path);
  if ('rejected' in named) throw new FileRejected(named.rejected, { hint: named.hint });

  const mayBeDuplicate = journal.storedObjects.knowsSize(path, identity.size);
  const { bucket } = steps.origin;
  const keyIsTaken = onConflict !== 'overwrite' && journal.storedObjects.knowsKey(bucket, named.key);
  let sha256: string | undefined;
  if (mayBeDuplicate || keyIsTaken || file.unansweredSha256 !== undefined || file.restedAs !== undefined) {
    sha256 = await steps.hash(opened, signal);
    if (sha256 === undefined || !(await opened.unchanged())) return { kind: 'changed' };
    const among = onConflict === 'overwrite' ? 'latest' : 'any';
    const same = journal.storedObjects.duplicateOf({ bucket, path, size: identity.size, sha256 }, among);
    if (file.restedAs !== undefined) return { kind: same === undefined ? 'other-bytes' : 'untouched' };
    if (same !== undefined) return { kind: 'duplicate', key: same.key, sha256, of: same.ledgerId };
  }
  return storeUnderFreeKey(steps, pass, named.key, sha256);
}

/**
 * Tries the keys that `onConflict` allows, one after the other: the one of an attempt that was never answered, the
 * file's own, `~<first 8 of sha256>`, `~<row id>`. Those that the journal knows to be taken are passed over.
 */
async function storeUnderFreeKey(
  steps: TransferSteps,
  pass: Pass,
  ownKey: string,
  knownSha256?: string,
): Promise<Upload> {
  const { journal, onConflict, origin } = steps;
  const { unansweredSha256, key: lastKey, rowId = uuidv7() } = pass.file;
  const pendingKey = knownSha256 !== undefined && knownSha256 === unansweredSha256 ? lastKey : undefined;
  let sha256 = knownSha256;
  const candidates = function* () {
    if (pendingKey !== undefined) yield pendingKey;
    yield ownKey;
    if (sha256 !== undefined) yield steps.conflictKey(ownKey, sha256);
    yield steps.conflictKeyById(ownKey, rowId);
  };
  const taken = new Set<string>();
  const isTaken = (key: string) => onConflict !== 'overwrite' && journal.storedObjects.knowsKey(origin.bucket, key);
  for (const key of candidates()) {
    if (onConflict === 'fail' && (taken.size > 0 || (key !== pendingKey && isTaken(key)))) throw keyTaken(ownKey);
    if (taken.has(key) || (key !== pendingKey && isTaken(key))) continue;
    const outcome = await storeAs(steps, pass, { key, rowId, earlierUnanswered: key === pendingKey });
    if (outcome.kind === 'changed') return outcome;
    if (outcome.kind === 'stored') return { ...outcome, rowId };
    sha256 = outcome.sha256;
    taken.add(key);
  }
  throw keyTaken(ownKey);
}

const keyTaken = (key: string) =>
  new FileRejected(`the key ${JSON.stringify(key)} exists in the bucket with other content`, {
    hint: 'drop the file under another name, or set s3.onConflict to keep-both or overwrite',
  });

/** One call of the engine, with its notes in the journal; an object of ours whose answer was lost counts as stored. */
async function storeAs(
  { journal, ...steps }: TransferSteps,
  { file, opened, startedAt, signal }: Pass,
  { key, rowId, earlierUnanswered }: { key: string; rowId: string; earlierUnanswered: boolean },
): Promise<Exclude<StoreOutcome, { kind: 'stored' }> | { readonly kind: 'stored'; readonly object: StoredObject }> {
  const { fileId, identity } = file;
  // Not awaited here: it is committed before, or together with, the first note that the engine waits for.
  const attempted = journal.files.attempt(fileId, key, rowId, startedAt);
  attempted.catch(() => undefined); // whoever awaits it below is told
  const noted = async (note: Promise<void>): Promise<void> => void (await Promise.all([attempted, note]));
  const head = journal.outbox.head();
  const notes: UploadNotes = {
    storing: (sha256) => noted(journal.files.unanswered(fileId, sha256)),
    refused: () => journal.files.unanswered(fileId, null),
    multipartStarted: (upload) => noted(journal.multipart.started(fileId, identity, upload)),
    partStored: (uploadId, part) => journal.multipart.partStored(uploadId, part),
    multipartGone: (uploadId) => journal.multipart.gone(uploadId),
  };
  const outcome = await steps.store(
    {
      file: opened,
      key,
      contentType: steps.contentType(key),
      metadata: { ...steps.metadata, 'dropledger-file-id': fileId, ...(head !== null && { 'dropledger-head': head }) },
      onlyIfAbsent: steps.conditionalWrites && steps.onConflict !== 'overwrite',
      earlierUnanswered,
      resume: file.key === undefined ? undefined : journal.multipart.resumable(fileId, identity, key),
      notes,
      onProgress: (bytesStored) => steps.onProgress(file, bytesStored),
    },
    signal,
  );
  const isOurs = (taken: Extract<StoreOutcome, { kind: 'key-taken' }>) =>
    taken.ours === 'yes' || (taken.ours === 'unknown' && !steps.sharedPrefix);
  if (outcome.kind !== 'key-taken' || !isOurs(outcome)) return outcome;
  const { sha256, partCount } = outcome;
  const unknown = { etag: null, versionId: null, requestId: null, checksumType: null, checksum: null };
  return { kind: 'stored', object: { bucket: steps.origin.bucket, key, sha256, partCount, ...unknown } };
}

async function recordStored(steps: TransferSteps, pass: Pass, object: StoredObject, rowId: string): Promise<undefined> {
  const { file, opened, startedAt } = pass;
  const uploadedAt = new Date();
  const { sha256, key } = object;
  const { bucket } = steps.origin;
  const content = { path: file.path, size: file.identity.size, sha256, bucket, key, ledgerId: rowId };
  const row = uploadedRow(entryOf(steps, pass), object, steps.contentType(key), uploadedAt);
  await steps.journal.outbox.enqueue(
    { row: { ...row, id: rowId }, file, disposition: { kind: 'after-upload', ledgerId: rowId }, stored: content },
    uploadedAt,
  );
  steps.gate.succeeded();
  steps.rowWaits();
  const fields = { path: textOf(file.path), bytes: opened.identity.size, key, sha256 };
  steps.log.info('uploaded', { ...fields, ms: uploadedAt.getTime() - startedAt.getTime(), id: rowId });
}

async function recordDuplicate(steps: TransferSteps, pass: Pass, { key, sha256, of }: Duplicate): Promise<undefined> {
  const id = uuidv7();
  const row = { ...duplicateRow(entryOf(steps, pass), { key, sha256, of }), id };
  const disposition: Disposition = { kind: 'after-upload', ledgerId: id };
  await steps.journal.outbox.enqueue({ row, file: pass.file, disposition }, new Date());
  steps.rowWaits();
  steps.log.info('duplicate', { path: textOf(pass.file.path), bytes: pass.file.identity.size, sha256, of, id });
}

/** The file can never be uploaded as it is: a row says so, and then it goes to quarantine. */
async function reject(
  steps: TransferSteps,
  file: QueuedFile,
  error: FileRejected,
  startedAt: Date,
): Promise<undefined> {
  const id = uuidv7();
  const row = { ...failedRow(entryOf(steps, { file, startedAt }), error.message), id };
  const disposition: Disposition = { kind: 'quarantine', reason: error.message, hint: error.hint ?? '', ledgerId: id };
  await steps.journal.outbox.enqueue({ row, file, disposition }, new Date());
  steps.rowWaits();
}

async function settleAnew({ journal, settleAnew: offer, log }: TransferSteps, file: QueuedFile): Promise<undefined> {
  log.debug('the file changed; it must come to rest again', { path: textOf(file.path) });
  await journal.files.unsettle(file.fileId);
  offer(file.path);
}

/** Says so once a file and reason: while uploads are paused, that was said already. */
async function tryAgain(
  steps: TransferSteps,
  file: QueuedFile,
  kind: RetryKind,
  reason: string,
  hint?: string,
): Promise<number> {
  const attempts = file.attempts + 1;
  steps.onRetry(kind);
  const nextTryAt = Date.now() + steps.retryDelayMs(attempts);
  await steps.journal.files.failed(file.fileId, attempts, nextTryAt, reason);
  if (!steps.gate.isClosed() && withoutRequestId(file.lastError) !== withoutRequestId(reason)) {
    const inSeconds = Math.ceil((nextTryAt - Date.now()) / 1000);
    steps.log.warning('retrying', { path: textOf(file.path), attempts, in_seconds: inSeconds, error: reason, hint });
  }
  return nextTryAt;
}

/** S3 numbers its answers: the same trouble again has another number. */
const withoutRequestId = (reason: string | undefined) => reason?.replace(/ \(request [^)]*\)/, '');

/** What was in the way of an attempt. */
export type RetryKind = 'folder' | 'unreadable' | 'refused' | 'local' | ServiceUnavailable['service'];

function kindOf(error: unknown): RetryKind {
  if (error instanceof ServiceUnavailable) return error.service;
  return error instanceof CredentialsError || error instanceof ConfigError ? 'refused' : 'local';
}

const hintOf = (error: unknown): string | undefined => (error instanceof DropledgerError ? error.hint : undefined);

const entryOf = (
  { origin }: TransferSteps,
  { file, opened, startedAt }: Omit<Pass, 'opened' | 'signal'> & { opened?: OpenFile },
): EntryFacts => ({
  origin,
  file,
  owner: opened?.owner ?? null,
  startedAt,
});
