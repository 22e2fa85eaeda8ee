/** Under which key a file's content goes, if it goes at all: duplicates, conflicts, and answers that were lost. */
import { v7 as uuidv7 } from 'uuid';
import type { QueuedFile } from './journal/files.ts';
import type { Journal } from './journal/journal.ts';
import type { Origin } from './ledger-entry.ts';
import type { EventLog, OpenFile, StoredObject, StoreFile, StoreOutcome, UploadNotes } from './model.ts';
import { metadataNames } from './s3/object-metadata.ts';
import { FileRejected } from './service/errors.ts';
import { textOf } from './service/path-bytes.ts';

export interface UploadSteps {
  readonly origin: Origin;
  readonly onConflict: 'keep-both' | 'fail' | 'overwrite';
  readonly sharedPrefix: boolean;
  readonly conditionalWrites: boolean;
  readonly journal: Pick<Journal, 'files' | 'storedObjects' | 'multipart' | 'abandonedUploads' | 'outbox'>;
  readonly log: EventLog;
  /** Hex; undefined where the file shrank. */
  hash(file: OpenFile, signal: AbortSignal): Promise<string | undefined>;
  objectKey(path: QueuedFile['path']): { readonly key: string } | { readonly rejected: string; readonly hint: string };
  conflictKey(key: string, sha256: string): string;
  conflictKeyById(key: string, rowId: string): string;
  contentType(key: string): string;
  readonly metadata: Readonly<Record<string, string>>;
  store: StoreFile;
  onProgress(file: QueuedFile, bytesStored: number): void;
}

/** Whether each put is refused where its key exists. */
export const putsConditionally = ({
  conditionalWrites,
  onConflict,
}: Pick<UploadSteps, 'conditionalWrites' | 'onConflict'>): boolean => conditionalWrites && onConflict !== 'overwrite';

/** One attempt to upload one file. */
export interface Pass {
  readonly file: QueuedFile;
  readonly opened: OpenFile;
  readonly startedAt: Date;
  readonly signal: AbortSignal;
}

/** What an attempt came to, before it is written down. */
export type Upload =
  | { readonly kind: 'stored'; readonly object: StoredObject; readonly rowId: string }
  | Duplicate
  | { readonly kind: 'untouched' | 'other-bytes' | 'changed' };

export interface Duplicate {
  readonly kind: 'duplicate';
  readonly key: string;
  readonly sha256: string;
  /** The ledger id of the row that has this content. */
  readonly of: string;
}

export async function upload(steps: UploadSteps, pass: Pass): Promise<Upload> {
  const { journal, onConflict } = steps;
  const { file, opened, signal } = pass;
  const { path, identity } = file;
  const named = steps.objectKey(path);
  if ('rejected' in named) throw new FileRejected(named.rejected, { hint: named.hint });

  const mayBeDuplicate = journal.storedObjects.knowsSize(path, identity.size);
  const { bucket } = steps.origin;
  const keyIsTaken = onConflict !== 'overwrite' && journal.storedObjects.knowsKey(bucket, named.key);
  const keyIsDoubtful = journal.abandonedUploads.under(named.key).length > 0;
  let sha256: string | undefined;
  if (
    mayBeDuplicate ||
    keyIsTaken ||
    keyIsDoubtful ||
    file.unansweredSha256 !== undefined ||
    file.restedAs !== undefined
  ) {
    sha256 = await steps.hash(opened, signal);
    if (sha256 === undefined || !(await opened.unchanged())) return { kind: 'changed' };
    if (file.unansweredSha256 !== undefined && sha256 !== file.unansweredSha256) {
      await journal.abandonedUploads.note(file.fileId, new Date());
      sayUnanswered(steps, file);
    }
    const among = onConflict === 'overwrite' ? 'latest' : 'any';
    const same = journal.storedObjects.duplicateOf({ bucket, path, size: identity.size, sha256 }, among);
    if (file.restedAs !== undefined) return { kind: same === undefined ? 'other-bytes' : 'untouched' };
    if (same !== undefined) return { kind: 'duplicate', key: same.key, sha256, of: same.ledgerId };
  }
  return storeUnderFreeKey(steps, pass, named.key, sha256);
}

/**
 * Tries the keys that `onConflict` allows, one after the other: the one of an attempt that was never answered, the
 * file's own, `~<first 8 of sha256>`, `~<row id>`. Those that the journal knows to be taken, or that may be, are passed over.
 */
async function storeUnderFreeKey(
  steps: UploadSteps,
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
  /** What the journal knows of a key; `holdsOurs`: these very bytes, perhaps, of an attempt that was never answered. */
  const lookUp = (key: string): { readonly holdsOurs: boolean; readonly isTaken: boolean } => {
    const abandoned = journal.abandonedUploads.under(key);
    // Where another content may lie, a lost answer could not be found out; under a key made of the content it can.
    const mayHoldOther = onConflict === 'keep-both' && abandoned.some((other) => other !== sha256);
    const isTaken = onConflict !== 'overwrite' && (mayHoldOther || journal.storedObjects.knowsKey(origin.bucket, key));
    const holdsOurs = key === pendingKey || (!isTaken && abandoned.length === 1 && abandoned[0] === sha256);
    return { holdsOurs, isTaken: isTaken && !holdsOurs };
  };
  for (const key of candidates()) {
    const { holdsOurs, isTaken } = lookUp(key);
    if (onConflict === 'fail' && (taken.size > 0 || isTaken)) throw keyTaken(ownKey);
    if (taken.has(key) || isTaken) continue;
    const isOwnKey = key === ownKey;
    const outcome = await storeAs(steps, pass, { key, rowId, isOwnKey, earlierUnanswered: holdsOurs });
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
  { journal, ...steps }: UploadSteps,
  { file, opened, signal }: Pass,
  {
    key,
    rowId,
    isOwnKey,
    earlierUnanswered,
  }: { key: string; rowId: string; isOwnKey: boolean; earlierUnanswered: boolean },
): Promise<Exclude<StoreOutcome, { kind: 'stored' }> | { readonly kind: 'stored'; readonly object: StoredObject }> {
  const { fileId, identity } = file;
  // Not awaited here: it is committed before, or together with, the first note that the engine waits for.
  const attempted = journal.files.attempt(fileId, key, rowId);
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
      metadata: {
        ...steps.metadata,
        [metadataNames.fileId]: fileId,
        ...(head !== null && { [metadataNames.head]: head }),
      },
      onlyIfAbsent: putsConditionally(steps),
      earlierUnanswered,
      resume: file.key === undefined ? undefined : journal.multipart.resumable(fileId, identity, key),
      notes,
      onProgress: (bytesStored) => steps.onProgress(file, bytesStored),
    },
    signal,
  );
  const isOurs = ({ ours, sha256 }: Extract<StoreOutcome, { kind: 'key-taken' }>): boolean => {
    const mayBeOther =
      steps.sharedPrefix ||
      // an earlier version that a lost journal stored; a key made of these very bytes could not hold it
      (isOwnKey && journal.abandonedUploads.hasGap()) ||
      journal.abandonedUploads.under(key).some((other) => other !== sha256);
    return ours === 'yes' || (ours === 'unknown' && !mayBeOther);
  };
  if (outcome.kind !== 'key-taken' || !isOurs(outcome)) return outcome;
  const { sha256, partCount } = outcome;
  const unknown = { etag: null, versionId: null, requestId: null, checksumType: null, checksum: null };
  return { kind: 'stored', object: { bucket: steps.origin.bucket, key, sha256, partCount, ...unknown } };
}

/** The bytes of an upload that was never answered are gone, and with them the way to ask whether they arrived. */
export function sayUnanswered({ log }: UploadSteps, { path, key, unansweredSha256: sha256 }: QueuedFile): void {
  if (sha256 === undefined) return;
  const hint = 'dropledger verify tells';
  const message =
    'the file was replaced or taken away before an upload of it was answered: an object without a row may be there';
  log.warning('warning', { path: textOf(path), key, sha256, hint }, message);
}
