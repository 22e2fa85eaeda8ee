import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog, RelativePath } from '../model.ts';
import { DropledgerError, messageOf, ServiceUnavailable } from '../service/errors.ts';
import { untilAborted } from '../service/until-aborted.ts';

export interface UploadGateOptions {
  readonly log: EventLog;
  /** Asks S3 (and STS) whether uploads would work now; throws why not. */
  ask(signal: AbortSignal): Promise<void>;
  /** Before attempt 1, 2, 3… to ask again, in ms. */
  delayMs(attempt: number): number;
  onClose(): void;
  onOpen(): void;
}

/** Why uploads are paused. */
export interface Outage {
  readonly since: Date;
  readonly error: Error;
  readonly attempts: number;
  readonly nextTryAt: Date;
}

export type UploadGate = ReturnType<typeof createUploadGate>;

/** Failures of S3 in a row that count as an outage; fewer are the files' own. */
const failuresOfAnOutage = 3;

/**
 * Uploads pause together and resume together: one line says so, instead of one a file. Credentials that AWS refuses
 * close the gate at once; an S3 that does not answer closes it after a few failures with no success between them.
 * While it is closed it asks again, with back-off and jitter, and opens by itself. A file that is refused again although
 * the answer was yes (a policy that denies some keys alone) is that file's own trouble, and closes nothing any more.
 */
export function createUploadGate({ log, ask, delayMs, onClose, onOpen }: UploadGateOptions) {
  const stop = new AbortController();
  let failures = 0;
  const failedPaths = new Set<RelativePath>();
  /** The file whose refusal closed the gate last. */
  let refusedPath: RelativePath | undefined;
  let refusesSomeAlone = false;
  let outage: Outage | undefined;
  let asking: Promise<void> = Promise.resolve();
  let inDoubt: Promise<void> | undefined;
  let hurry = () => {};

  const close = (error: Error): void => {
    outage = { since: new Date(), error, attempts: 0, nextTryAt: new Date() };
    onClose();
    announce(error);
    asking = askUntilOpen();
  };

  const announce = (error: Error): void => {
    const fields = { error: messageOf(error), hint: error instanceof DropledgerError ? error.hint : undefined };
    if (error instanceof ServiceUnavailable) log.warning('paused', fields, 'uploads wait for S3');
    else log.error('paused', fields, 'uploads wait for somebody to mend this');
  };

  const askUntilOpen = async (): Promise<void> => {
    for (let attempt = 1; outage !== undefined; attempt += 1) {
      const waitMs = delayMs(attempt);
      outage = { ...outage, attempts: attempt, nextTryAt: new Date(Date.now() + waitMs) };
      const hurried = new Promise<void>((resolve) => {
        hurry = resolve;
      });
      await Promise.race([sleep(waitMs, undefined, { signal: stop.signal }), hurried]);
      const failure = await whyNot();
      if (failure === undefined) open();
      else stillClosed(outage, failure);
    }
  };

  /** Refusals of single files may have become everyone's: one question at a time, no more often than when closed. */
  const askInDoubt = async (): Promise<void> => {
    await sleep(delayMs(1), undefined, { signal: stop.signal });
    const failure = await whyNot();
    if (failure === undefined) return;
    refusesSomeAlone = false;
    if (outage === undefined) close(failure);
  };

  const whyNot = async (): Promise<Error | undefined> => {
    try {
      await untilAborted(stop.signal, ask(stop.signal));
      return undefined;
    } catch (error) {
      stop.signal.throwIfAborted();
      return error instanceof Error ? error : new Error(String(error));
    }
  };

  const stillClosed = (before: Outage, error: Error): void => {
    refusedPath = undefined; // not its own trouble
    log.debug('uploads are still paused', { error: messageOf(error) });
    if (error.constructor !== before.error.constructor) announce(error);
    outage = { ...before, error };
  };

  const open = (): void => {
    if (outage === undefined) return;
    const seconds = Math.round((Date.now() - outage.since.getTime()) / 1000);
    outage = undefined;
    failures = 0;
    failedPaths.clear();
    log.info('resumed', { seconds }, 'uploads go on');
    onOpen();
  };

  const reportFailure = (error: ServiceUnavailable, path: RelativePath): void => {
    failures += 1;
    failedPaths.add(path);
    // One file that S3 answers with an error again and again is that file's trouble, not everyone's.
    const concernsAll = !error.answered || failedPaths.size > 1;
    if (failures >= failuresOfAnOutage && concernsAll) close(error);
  };

  const reportRefusal = (error: DropledgerError, path: RelativePath): void => {
    refusesSomeAlone ||= path === refusedPath;
    if (refusesSomeAlone) {
      inDoubt ??= askInDoubt()
        .catch(() => undefined) // stopping
        .finally(() => {
          inDoubt = undefined;
        });
    } else {
      refusedPath = path;
      close(error);
    }
  };

  return {
    /**
     * A file could not be uploaded for a reason that concerns, or may concern, all of them. Says whether uploads are
     * paused now, so that the file need not wait by itself.
     */
    report(error: DropledgerError, path: RelativePath): boolean {
      if (outage === undefined && !stop.signal.aborted) {
        if (error instanceof ServiceUnavailable) reportFailure(error, path);
        else reportRefusal(error, path);
      }
      return outage !== undefined;
    },

    /** A file was uploaded. */
    succeeded(): void {
      failures = 0;
      failedPaths.clear();
    },

    /**
     * The first question, before the first upload. Refused, it throws; where no answer comes within `withinMs` the gate
     * closes, and it is asked again. Aborted, it just returns.
     */
    async askFirst(signal: AbortSignal, withinMs: number): Promise<void> {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
      try {
        await untilAborted(limit, ask(limit));
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof DropledgerError && !(error instanceof ServiceUnavailable)) throw error;
        const unanswered = new ServiceUnavailable('s3', `AWS did not answer: ${messageOf(error)}`, { cause: error });
        close(error instanceof ServiceUnavailable ? error : unanswered);
      }
    },

    /** Something may have been mended: asks without waiting for the next try. */
    askSoon(): void {
      hurry();
    },

    isClosed: (): boolean => outage !== undefined,
    outage: (): Outage | undefined => outage,

    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopping'));
      await inDoubt;
      await asking.catch(() => undefined);
    },
  };
}
