import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog, FileIdentity, RelativePath, SettledFile } from '../model.ts';
import { codeOf, messageOf } from '../service/errors.ts';
import { errorFields } from '../service/log-error.ts';
import { textOf } from '../service/path-bytes.ts';
import { type Folder, folderIsThere, identityAt, sameFile } from './folder.ts';
import { createIgnoreName, createIgnoreRule } from './ignore.ts';
import { type ScanTotals, scan } from './scan.ts';
import { createSettler } from './settle.ts';
import { type FolderWatch, watchFolder } from './watch.ts';

/** What is known of a path: `waits` until the daemon has dealt with it, `rests` in the folder for good. */
export type Known = { readonly kind: 'waits' } | { readonly kind: 'rests'; readonly identity: FileIdentity };

export interface IntakeOptions {
  readonly folder: Folder;
  readonly ignore: readonly string[];
  readonly settleMs: number;
  /** Asked before each pause between scans. */
  rescanSeconds(): number;
  /** On a network file system neither the times of files nor events can be relied on, and a look may hang. */
  readonly onNetwork: boolean;
  readonly log: EventLog;
  known(path: RelativePath): Known | undefined;
  onSettled(files: readonly SettledFile[]): Promise<void>;
  /** After each scan of the whole folder; the next one waits for it. */
  afterScan(totals: ScanTotals): Promise<void>;
}

export interface ScanReport extends ScanTotals {
  readonly at: Date;
  readonly ms: number;
  /** Files that no event had told of, since the start. */
  readonly foundByRescan: number;
}

/** Events on their way when a scan ended may still arrive; what has none by then was missed. */
const eventGraceMs = 1000;
/** The least pause between two scans, however many events are missed. */
const leastPauseMs = 1000;
/** A pause is at least so many times as long as the scan before it: scanning a million files takes a third of the time. */
const pausePerScan = 2;
/** Paths remembered to tell which files no event told of; beyond that it is only counted. */
const mostRemembered = 100_000;
/** With more files than these in the folder at a scan, watching waits for one that finds fewer. */
const mostWatched = 50_000;

/**
 * Brings files from the drop folder to rest and hands them over. Events are a hint, the scan is the truth: it runs at
 * start, every `rescanSeconds`, and whenever events may have been missed.
 */
export function createIntake(options: IntakeOptions) {
  const { folder, log, known } = options;
  const stop = new AbortController();
  const ignoreName = createIgnoreName(options.ignore);
  const ignoreRule = createIgnoreRule(options.ignore);
  const warned = new Set<string>();
  const hinted = new Set<RelativePath>();
  let report: ScanReport | undefined;
  let foundByRescan = 0;
  let isGap = false;
  let endPause = () => {};
  let watch: FolderWatch | undefined;
  /** Whether events should have told of all that the next scan finds. */
  let toldOfAll = false;

  const warnOnce = (about: string, fields: Record<string, string | undefined>, message: string) => {
    if (warned.has(about)) return;
    warned.add(about);
    log.warning('warning', fields, message);
  };

  /** A thousand files in a folder that may not be entered are one warning. */
  const warnNotTaken = (error: unknown): void =>
    warnOnce(
      `settle ${codeOf(error) ?? messageOf(error)}`,
      errorFields(error),
      'files cannot be taken in; every scan tries again',
    );

  const rescanSoon = (): void => {
    isGap = true;
    endPause();
  };

  const settler = createSettler({
    settleMs: options.settleMs,
    trustTimes: !options.onNetwork,
    look: (path) => identityAt(folder, path),
    onSettled: options.onSettled,
    onError: (error) => warnNotTaken(error),
  });

  const beginToWatch = (): FolderWatch =>
    watchFolder({
      folder,
      ignore: ignoreRule,
      onHint: (path) => {
        if (hinted.size < mostRemembered) hinted.add(path);
        if (!settler.offerNow(path)) rescanSoon(); // too many at once: a scan waits for room, events cannot
      },
      onReady: () => {
        // What came between the scan and the first watch has no event, and none was missed.
        isGap = true;
        toldOfAll = false;
        endPause();
      },
      onGap: (reason) => {
        warnOnce(`gap ${reason}`, { error: reason }, 'events from the drop folder may have been missed');
        rescanSoon();
      },
    });

  /** A backlog is worked off by scans: to begin to watch it would cost a look at each of its files (27 µs, 0.4 KB). */
  const watchIfSmall = ({ files }: ScanTotals): void => {
    if (watch !== undefined || options.onNetwork || stop.signal.aborted) return;
    if (files <= mostWatched) {
      watch = beginToWatch();
    } else {
      const hint = `lower dropFolder.rescanSeconds (now ${options.rescanSeconds()}) if that is too slow`;
      warnOnce('many', { files: String(files), hint }, 'many files wait or stay here: new ones are found by rescans');
    }
  };

  /** Whether the file at a path is news; `missed` gathers those that no event told of. */
  const consider = async (path: RelativePath, missed: RelativePath[]): Promise<void> => {
    const what = known(path);
    if (what?.kind === 'waits') return;
    if (what?.kind === 'rests' && !(await isOther(path, what.identity))) return;
    const isMissed = settler.observing(path) === undefined && !hinted.has(path);
    if (isMissed && hinted.size < mostRemembered && missed.length < mostRemembered) missed.push(path);
    await settler.offer(path);
  };

  /** Whether another file is there by now; one that cannot be looked at is left for the next scan. */
  const isOther = async (path: RelativePath, identity: FileIdentity): Promise<boolean> => {
    try {
      const now = await identityAt(folder, path);
      return now !== undefined && !sameFile(now, identity);
    } catch (error) {
      warnNotTaken(error);
      return false;
    }
  };

  const scanOnce = async (): Promise<void> => {
    const startedAt = Date.now();
    const missed: RelativePath[] = [];
    const eventsTold = toldOfAll;
    toldOfAll = watch !== undefined;
    await watch?.checkRoot();
    if (!(await folderIsThere(folder))) {
      return warnOnce(
        'root',
        { path: folder.path.toString() },
        'the drop folder is gone or another file system is mounted there; it is looked for at every rescan',
      );
    }
    warned.delete('root');
    const totals = await scan(
      { folder, ignore: ignoreName, onFile: (path) => consider(path, missed), onUnreadable: warnUnreadable },
      stop.signal,
    );
    if (eventsTold && missed.length > 0) await tellMissed(missed);
    watchIfSmall(totals);
    hinted.clear();
    report = { ...totals, at: new Date(), ms: Date.now() - startedAt, foundByRescan };
    await options.afterScan(totals);
  };

  const tellMissed = async (missed: readonly RelativePath[]): Promise<void> => {
    await sleep(eventGraceMs, undefined, { signal: stop.signal });
    const found = missed.filter((path) => !hinted.has(path));
    if (found.length === 0) return;
    foundByRescan += found.length;
    log.info(
      'rescan-found',
      { files: found.length, example: textOf(found[0] as RelativePath) },
      'no event told of these files',
    );
  };

  const warnUnreadable = (path: RelativePath, error: unknown): void => {
    warnOnce(
      `unreadable ${path}`,
      { path: textOf(path), error: messageOf(error), hint: 'let the service user read and enter it' },
      'a folder cannot be read; its files wait',
    );
  };

  /** Until the next scan is due, or events were missed since the last one began. */
  const pause = async (): Promise<void> => {
    await sleep(leastPauseMs, undefined, { signal: stop.signal });
    const ended = new AbortController();
    endPause = () => ended.abort();
    const restMs = Math.max(options.rescanSeconds() * 1000, (report?.ms ?? 0) * pausePerScan) - leastPauseMs;
    if (!isGap && restMs > 0) {
      await sleep(restMs, undefined, { signal: AbortSignal.any([stop.signal, ended.signal]) }).catch(() => undefined);
    }
    stop.signal.throwIfAborted();
  };

  const keepScanning = async (): Promise<void> => {
    for (;;) {
      await pause();
      isGap = false;
      await scanOnce();
    }
  };

  const firstScan = scanOnce();
  const scanning = firstScan.then(keepScanning).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  scanning.catch(() => undefined); // it may break down before anybody waits for it

  return {
    /** Resolves when the whole folder was walked once; rejects if that failed. */
    firstScan,
    /** Rejects if scanning breaks down: a daemon that does not scan must not go on. */
    scanning,
    /** This file must come to rest again. */
    offer: (path: RelativePath): void => {
      if (!settler.offerNow(path)) rescanSoon();
    },
    /** The rule that hides a path; undefined where none does. */
    ignoredBy: ignoreRule,
    observing: settler.observing,
    /** Files that are coming to rest. */
    settling: settler.size,
    lastScan: (): ScanReport | undefined => report,

    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopping'));
      await watch?.[Symbol.asyncDispose]();
      await settler[Symbol.asyncDispose]();
      await scanning.catch(() => undefined);
    },
  };
}
