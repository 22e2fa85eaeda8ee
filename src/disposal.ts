/** What becomes of a file once its row is in the ledger: the last step of its pass, in batches. */
import type { Disposal, Dispose } from './drop-folder/dispose.ts';
import type { RecordedFile } from './journal/files.ts';
import type { Journal } from './journal/journal.ts';
import type { EventLog, RelativePath } from './model.ts';
import { parentOf, textOf } from './service/path-bytes.ts';

export interface DisposalSteps {
  readonly journal: Pick<Journal, 'files' | 'emptiedFolders' | 'onDisk'>;
  readonly dispose: Dispose;
  readonly log: EventLog;
  /** There may be another file at the path by now. */
  lookAgain(path: RelativePath): void;
}

type Failed = Extract<Disposal, { kind: 'failed' }>;

export function createDisposal({ journal, dispose, log, lookAgain }: DisposalSteps) {
  const saidOf = new Set<string>();
  /** Files that could not be moved, and the reasons that were told, until all of them are. */
  const failing = { files: new Set<string>(), reasons: new Set<string>() };
  const once = (about: string, say: () => void): void => {
    if (saidOf.has(about)) return;
    saidOf.add(about);
    say();
  };

  const sayNotMovable = (path: RelativePath, reason: string): void =>
    once(`not-movable ${parentOf(path)}`, () =>
      log.warning(
        'not-movable',
        {
          folder: textOf(parentOf(path)) || '.',
          example: textOf(path),
          error: reason,
          hint: 'give the drop group write access to the folder (chmod g+w); what is recorded there is moved within the hour',
        },
        'recorded, and never sent again, but it stays in the drop folder',
      ),
    );

  /** Once a reason, until all goes well again: a full disk fails thousands of files. */
  const sayFailed = ({ path, fileId }: RecordedFile, { code, error, hint }: Failed): void => {
    const reason = code ?? error;
    failing.files.add(fileId);
    if (failing.reasons.has(reason)) return;
    failing.reasons.add(reason);
    const example = textOf(path);
    log.error('warning', { example, error, hint }, 'recorded files cannot be moved; it is tried again');
  };

  const sayQuarantined = ({ path, disposition }: RecordedFile): void => {
    if (disposition.kind !== 'quarantine') return;
    const { reason, hint, ledgerId } = disposition;
    log.error('quarantined', { path: textOf(path), error: reason, hint, id: ledgerId });
  };

  /** Resolves with how many could not be disposed of now. */
  return async (files: readonly RecordedFile[]): Promise<number> => {
    const done: { fileId: string; rests: 'kept' | 'not-movable' | undefined }[] = [];
    const emptied = new Set<RelativePath>();
    const replaced: RelativePath[] = [];
    let failed = 0;
    await journal.onDisk();
    for (const [file, disposal] of await dispose(files)) {
      const { path, fileId } = file;
      if (disposal.kind !== 'failed') failing.files.delete(fileId);
      switch (disposal.kind) {
        case 'moved':
          emptied.add(parentOf(path));
          sayQuarantined(file);
          done.push({ fileId, rests: undefined });
          break;
        case 'gone':
          replaced.push(path);
          done.push({ fileId, rests: undefined });
          break;
        case 'kept':
          done.push({ fileId, rests: 'kept' });
          break;
        case 'not-movable':
          sayNotMovable(path, disposal.reason);
          done.push({ fileId, rests: 'not-movable' });
          break;
        case 'failed':
          failed += 1;
          sayFailed(file, disposal);
          break;
        case 'interrupted':
          break;
      }
    }
    if (failing.files.size === 0) failing.reasons.clear();
    await Promise.all([journal.files.disposed(done), journal.emptiedFolders.note(emptied, new Date())]);
    for (const path of replaced) lookAgain(path);
    return failed;
  };
}
