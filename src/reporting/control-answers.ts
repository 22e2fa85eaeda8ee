/** What the daemon answers over its control socket. */
import type { Answer, DaemonReport, Question } from '../control/protocol.ts';
import type { Folders } from '../drop-folder/folders.ts';
import {
  putBackQuarantined,
  type QuarantinedFile,
  quarantinedAs,
  quarantinedFiles,
} from '../drop-folder/quarantine.ts';
import type { EventLog, RelativePath } from '../model.ts';
import { LocalFailure, messageOf } from '../service/errors.ts';
import { isBelow, pathFromText, pathFromWritten, textOf } from '../service/path-bytes.ts';
import { type ExplainOptions, explain } from './explain/explain.ts';

export interface ControlAnswersOptions {
  report(): Promise<DaemonReport>;
  readonly explaining: ExplainOptions;
  readonly folders: Folders;
  readonly log: EventLog;
  /** A file was put back into the drop folder. */
  offer(path: RelativePath): void;
}

/** A report is put together no more often than this, however many ask. */
const reportForMs = 100;

export function createControlAnswers({ report, explaining, folders, log, offer }: ControlAnswersOptions) {
  let recent: { readonly status: Promise<DaemonReport>; readonly atMs: number } | undefined;
  let isPuttingBack = false;

  const recentReport = (): Promise<DaemonReport> => {
    if (recent === undefined || performance.now() - recent.atMs > reportForMs) {
      recent = { status: report(), atMs: performance.now() };
    }
    return recent.status;
  };

  const putBack = async (file: QuarantinedFile): Promise<string | undefined> => {
    const left = await putBackQuarantined(folders, file).catch((error: unknown) => messageOf(error));
    if (left !== undefined) return left;
    log.info('put-back', { path: textOf(file.path), from: textOf(file.at) }, 'from quarantine, as somebody asked');
    offer(file.path);
    return undefined;
  };

  async function* putBackAll(
    files: AsyncIterable<QuarantinedFile> | Iterable<QuarantinedFile>,
    signal: AbortSignal,
  ): AsyncGenerator<Answer> {
    if (isPuttingBack) throw new LocalFailure('files are being put back already: wait until that is over');
    isPuttingBack = true;
    let count = 0;
    let leftCount = 0;
    try {
      for await (const file of files) {
        signal.throwIfAborted();
        const left = await putBack(file);
        count += 1;
        if (left !== undefined) leftCount += 1;
        yield { done: false, putBack: { path: textOf(file.path), ...(left !== undefined && { left }) } };
      }
    } finally {
      isPuttingBack = false;
    }
    yield { done: true, putBack: { files: count - leftCount, left: leftCount } };
  }

  return async function* answer(question: Question, signal: AbortSignal): AsyncGenerator<Answer> {
    switch (question.command) {
      case 'status':
        yield { done: true, status: await recentReport() };
        break;
      case 'explain':
        yield { done: true, explanation: await explain(explaining, question.path) };
        break;
      case 'retry':
        yield* putBackAll(await quarantinedUnder(folders, question.path), signal);
        break;
      case 'retry-all':
        yield* putBackAll(quarantinedFiles(folders.quarantine), signal);
        break;
    }
  };
}

/** As the shell or as the journal writes the path. */
async function quarantinedUnder({ quarantine }: Folders, text: string): Promise<QuarantinedFile[]> {
  for (const path of [pathFromText(text), pathFromWritten(text)]) {
    if (!isBelow(path)) throw new LocalFailure(`${JSON.stringify(text)} is not a path below the drop folder`);
    const found = await quarantinedAs(quarantine, path);
    if (found.length > 0) return found;
  }
  return [];
}
