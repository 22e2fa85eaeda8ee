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
  /** The question was answered with a failure once, or an upload succeeded since: a yes means that this is over. */
  readonly seenByAsking: boolean;
}

export type UploadGate = ReturnType<typeof createUploadGate>;

/** Failures of S3 in a row that count as an outage; fewer are the files' own. */
const failuresOfAnOutage = 3;

/**
 * Uploads pause together and resume together: one line says so, instead of one a file. Credentials that AWS refuses
 * close the gate at once; an S3 that does not answer closes it after a few failures with no success between them.
 * While it is closed it asks again, with back-off and jitter, and opens by itself. Where the first answer is yes, some
 * keys alone are refused (by a policy): that is the trouble of those files, and closes nothing any more.
 * What S3 answers to uploads and not to the question (a store that is full) is over when a file has been uploaded: until
 * then the gate opens for a try, ever more rarely, and says nothing.
 */
export function createUploadGate({ log, ask, delayMs, onClose, onOpen }: UploadGateOptions) {
  const stop = new AbortController();
  let failures = 0;
  const failedPaths = new Set<RelativePath>();
  /** The last refusal concerned some keys alone: the question, asked at once, was answered with yes. */
  let refusesSomeAlone = false;
  let outage: Outage | undefined;
  /** An outage that the question never saw, and during whose try the gate is open. */
  let onTrial: Outage | undefined;
  let asking: Promise<void> = Promise.resolve();
  let inDoubt: Promise<void> | undefined;
  let hurry = () => {};

  const close = (error: Error): void => {
    const before = onTrial;
    onTrial = undefined;
    outage = { since: new Date(), attempts: 0, nextTryAt: new Date(), seenByAsking: false, ...before, error };
    onClose();
    if (error.constructor !== before?.error.constructor) announce(error);
    asking = askUntilOpen(outage.attempts + 1);
  };

  const announce = (error: Error): void => {
    const fields = { error: messageOf(error), hint: error instanceof DropledgerError ? error.hint : undefined };
    if (error instanceof ServiceUnavailable) log.warning('paused', fields, 'uploads wait for S3');
    else log.error('paused', fields, 'uploads wait for somebody to mend this');
  };

  const askUntilOpen = async (first: number): Promise<void> => {
    for (let attempt = first; outage !== undefined; attempt += 1) {
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
    log.debug('uploads are still paused', { error: messageOf(error) });
    if (error.constructor !== before.error.constructor) announce(error);
    outage = { ...before, error, seenByAsking: true };
  };

  const open = (): void => {
    if (outage === undefined) return;
    const ended = outage;
    outage = undefined;
    failures = 0;
    failedPaths.clear();
    const isOutage = ended.error instanceof ServiceUnavailable;
    refusesSomeAlone = !ended.seenByAsking && !isOutage;
    if (isOutage && ended.error.answered && !ended.seenByAsking) onTrial = ended;
    else sayResumed(ended);
    onOpen();
  };

  const sayResumed = ({ since }: Outage): void => {
    const seconds = Math.round((Date.now() - since.getTime()) / 1000);
    log.info('resumed', { seconds }, 'uploads go on');
  };

  const reportFailure = (error: ServiceUnavailable, path: RelativePath): void => {
    failures += 1;
    failedPaths.add(path);
    // One file that S3 answers with an error again and again is that file's trouble, not everyone's.
    const concernsAll = !error.answered || failedPaths.size > 1;
    if (failures >= failuresOfAnOutage && concernsAll) close(error);
  };

  const reportRefusal = (error: DropledgerError): void => {
    if (refusesSomeAlone) {
      inDoubt ??= askInDoubt()
        .catch(() => undefined) // stopping
        .finally(() => {
          inDoubt = undefined;
        });
    } else {
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
        else reportRefusal(error);
      }
      return outage !== undefined;
    },

    /** A file was uploaded. */
    succeeded(): void {
      failures = 0;
      failedPaths.clear();
      if (outage?.error instanceof ServiceUnavailable) outage = { ...outage, seenByAsking: true };
      if (onTrial !== undefined) sayResumed(onTrial);
      onTrial = undefined;
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

    /** Whether it was said that uploads are paused, and not yet that they go on. */
    isClosed: (): boolean => outage !== undefined || onTrial !== undefined,
    outage: (): Outage | undefined => outage ?? onTrial,

    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopping'));
      await inDoubt;
      await asking.catch(() => undefined);
    },
  };
}
