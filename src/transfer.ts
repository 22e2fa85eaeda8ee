/**
 * One file's pass, top to bottom: open → (hash) → upload → into the outbox. What comes before is the drop folder's
 * business, what comes after the row is in the ledger is the disposal's. The parts are handed in as functions.
 */
import { v7 as uuidv7 } from 'uuid';
import type { OpenOutcome } from './drop-folder/open-file.ts';
import type { QueuedFile } from './journal/files.ts';
import { duplicateRow, type EntryFacts, failedRow, uploadedRow } from './ledger-entry.ts';
import type { Disposition, OpenFile, StoredObject } from './model.ts';
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
import { type Duplicate, type Pass, sayUnanswered, type UploadSteps, upload } from './upload.ts';

export interface TransferSteps extends UploadSteps {
  readonly gate: Pick<UploadGate, 'report' | 'succeeded' | 'isClosed'>;
  open(file: QueuedFile): Promise<OpenOutcome>;
  /** The file must come to rest again. */
  settleAnew(path: QueuedFile['path']): void;
  /** Whether the drop folder is still there, so that a missing file really is gone. */
  folderIsThere(): Promise<boolean>;
  /** A row is in the outbox. */
  rowWaits(): void;
  /** An attempt failed and will be repeated. */
  onRetry(kind: RetryKind): void;
  retryDelayMs(attempt: number): number;
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
          sayUnanswered(steps, file);
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
