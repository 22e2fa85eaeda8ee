/** What happened, or will happen, to one file, and why: for the person who asks. */
import type { ExplainedState, Explanation } from './control/protocol.ts';
import { pathIn } from './drop-folder/folder.ts';
import type { Folders } from './drop-folder/folders.ts';
import type { ScanReport } from './drop-folder/intake.ts';
import { type QuarantinedFile, quarantinedAs } from './drop-folder/quarantine.ts';
import type { FileDetails, PathHistory, StoredBefore } from './journal/path-history.ts';
import type { LiveState } from './live-state.ts';
import type { RelativePath } from './model.ts';
import { LocalFailure, messageOf } from './service/errors.ts';
import { isBelow, pathFromText, pathFromWritten, textOf } from './service/path-bytes.ts';

export interface ExplainOptions {
  readonly folders: Pick<Folders, 'dropFolder' | 'quarantine'>;
  readonly settleMs: number;
  rescanSeconds(): number;
  historyOf(path: RelativePath): PathHistory;
  readonly liveState: Pick<LiveState, 'transfer' | 'rareOutcome'>;
  readonly intake: {
    observing(path: RelativePath): Date | undefined;
    ignoredBy(path: RelativePath): string | undefined;
    lastScan(): ScanReport | undefined;
  };
  /** Why uploads are paused; undefined while they go on. */
  paused(): string | undefined;
  /** Why the ledger is down; undefined while it is up. */
  ledgerDown(): string | undefined;
}

/** `text`: a path below the drop folder, as the shell or as the journal writes it. */
export async function explain(options: ExplainOptions, text: string): Promise<Explanation> {
  const asGiven = await explainPath(options, pathFromText(text));
  if (asGiven.state !== 'never-seen' || !text.includes('\\')) return asGiven;
  return explainPath(options, pathFromWritten(text));
}

async function explainPath(options: ExplainOptions, path: RelativePath): Promise<Explanation> {
  if (!isBelow(path)) throw new LocalFailure(`${JSON.stringify(textOf(path))} is no path below the drop folder`);
  const history = options.historyOf(path);
  return (
    underWay(options, path) ??
    inJournal(options, path, history) ??
    (await inFolder(options, path)) ??
    (await leftFolder(options, path, history)) ??
    nowhere(options, path)
  );
}

/** Facts and notes that are undefined are left out. */
function tell(
  path: RelativePath,
  state: ExplainedState,
  facts: Readonly<Record<string, string | number | undefined>>,
  ...notes: readonly (string | undefined)[]
): Explanation {
  const known = Object.entries(facts).filter((fact): fact is [string, string | number] => fact[1] !== undefined);
  return {
    path: textOf(path),
    state,
    facts: Object.fromEntries(known),
    notes: notes.filter((note) => note !== undefined),
  };
}

function underWay({ liveState }: ExplainOptions, path: RelativePath): Explanation | undefined {
  const transfer = liveState.transfer(path);
  if (transfer === undefined) return undefined;
  const { file, bytesStored, startedAt } = transfer;
  const facts = {
    bytes: file.identity.size,
    bytesStored,
    since: startedAt.toISOString(),
    failedAttempts: file.attempts,
  };
  return tell(path, 'uploading', facts, 'It is being read, and is on its way to S3.');
}

/** A file that waits, or rests in the folder. */
function inJournal(options: ExplainOptions, path: RelativePath, history: PathHistory): Explanation | undefined {
  const { file, stored } = history;
  if (file === undefined) return undefined;
  const facts = { bytes: file.size, detectedAt: file.detectedAt.toISOString(), ledgerId: file.disposition?.ledgerId };
  if (file.state === 'queued') return queued(options, path, file, facts);
  if (file.state === 'settling')
    return tell(path, 'settling', facts, 'It changed while it was read, and must come to rest again.');
  if (file.setAside !== undefined) {
    return tell(
      path,
      'set-aside',
      { ...facts, error: file.setAside },
      'It is in S3, but the ledger refuses its row for its content.',
      'The row is kept in the local journal and the file in the folder: show the error to whoever looks after the ledger. The next start sends it again.',
    );
  }
  if (file.disposition?.kind === 'quarantine') return quarantineAhead(options, path, file, facts);
  return storedAlready(options, path, file, { ...facts, ...objectOrDuplicate(file, stored) });
}

type Facts = Readonly<Record<string, string | number | undefined>>;

function queued({ paused }: ExplainOptions, path: RelativePath, file: FileDetails, facts: Facts): Explanation {
  const { attempts, lastError, nextTryAt } = file;
  const reason = paused();
  const failed = attempts === 0 ? {} : { failedAttempts: attempts, error: lastError };
  const later = nextTryAt > Date.now() ? { nextTryAt: new Date(nextTryAt).toISOString() } : {};
  return tell(
    path,
    'queued',
    { ...facts, ...failed, ...later },
    reason === undefined ? undefined : `Uploads are paused: ${reason}`,
    'nextTryAt' in later ? 'It is tried again then.' : 'It is uploaded when its turn comes.',
  );
}

function quarantineAhead(options: ExplainOptions, path: RelativePath, file: FileDetails, facts: Facts): Explanation {
  const { disposition } = file;
  if (disposition?.kind !== 'quarantine') throw new TypeError('not on the way to quarantine');
  return tell(
    path,
    'quarantined',
    { ...facts, error: disposition.reason },
    'It cannot be uploaded as it is.',
    disposition.hint || undefined,
    file.state === 'stored' ? waitsForLedger(options) : undefined,
    'It is moved to the quarantine once its row is in the ledger.',
  );
}

function storedAlready(options: ExplainOptions, path: RelativePath, { state }: FileDetails, facts: Facts): Explanation {
  const isDuplicate = facts['duplicateOf'] !== undefined;
  const sent = isDuplicate ? 'The same content was stored for this path before: nothing was sent.' : 'It is in S3.';
  switch (state) {
    case 'stored':
      return tell(path, 'waiting-for-ledger', facts, sent, waitsForLedger(options));
    case 'recorded':
      return tell(path, 'recorded', facts, sent, 'Its row is in the ledger; it leaves the drop folder in a moment.');
    case 'not-movable':
      return tell(
        path,
        'not-movable',
        facts,
        sent,
        'Its row is in the ledger, and it is never sent again, but the service user may not move it out of its folder.',
        'Let the drop group write to that folder (chmod g+w); within the hour it is tried again.',
      );
    default:
      return tell(
        path,
        isDuplicate ? 'duplicate' : 'kept',
        facts,
        sent,
        'Its row is in the ledger; it stays in the folder, as dropFolder.afterUpload says.',
      );
  }
}

function waitsForLedger({ ledgerDown }: ExplainOptions): string {
  const reason = ledgerDown();
  return `Its row is safe on this machine and waits for the ledger${reason === undefined ? '.' : `, which is down: ${reason}`}`;
}

/** The row of a duplicate has another id than any object that was stored. */
function objectOrDuplicate({ disposition, size }: FileDetails, stored: readonly StoredBefore[]): Facts {
  const own = stored.find(({ ledgerId }) => ledgerId === disposition?.ledgerId);
  if (own !== undefined) return objectFacts(own);
  const same = stored.find((object) => object.size === size);
  return same === undefined ? {} : { ...objectFacts(same), duplicateOf: same.ledgerId };
}

const objectFacts = ({ bucket, key, sha256 }: StoredBefore): Facts => ({ object: `s3://${bucket}/${key}`, sha256 });

/** What the journal knows nothing of, but is there. */
async function inFolder(options: ExplainOptions, path: RelativePath): Promise<Explanation | undefined> {
  const { folders, intake, settleMs } = options;
  const since = intake.observing(path);
  if (since !== undefined) {
    return tell(
      path,
      'settling',
      { detectedAt: since.toISOString() },
      `It is uploaded once it has rested for ${settleMs} ms.`,
    );
  }
  const { calls } = folders.dropFolder;
  const there = await Promise.resolve(calls.lstat(pathIn(folders.dropFolder, path))).catch((error: unknown) =>
    messageOf(error),
  );
  if (there === undefined) return undefined;
  const rule = intake.ignoredBy(path);
  if (rule !== undefined)
    return tell(path, 'ignored', { rule }, 'dropFolder.ignore hides it: it stays where it is, and is never uploaded.');
  if (typeof there === 'string') {
    return tell(
      path,
      'not-seen',
      { error: there },
      'The service user may not look at it: let it read and enter the folder.',
    );
  }
  if (there.isDirectory()) return tell(path, 'special', { kind: 'folder' }, 'Ask about the files in it.');
  if (!there.isFile()) {
    return tell(
      path,
      'special',
      { kind: there.isSymbolicLink() ? 'symlink' : 'no regular file' },
      'Only regular files are uploaded; it stays where it is.',
    );
  }
  return tell(path, 'not-seen', { bytes: Number(there.size) }, `It is there, and not seen yet: ${nextScan(options)}.`);
}

function nextScan({ intake, rescanSeconds }: ExplainOptions): string {
  const last = intake.lastScan();
  if (last === undefined) return 'the first scan of the folder is under way';
  return `the next scan finds it (every ${rescanSeconds()} s; the last one took ${Math.ceil(last.ms / 1000)} s)`;
}

/** What is not there any longer, and left a trace. */
async function leftFolder(options: ExplainOptions, path: RelativePath, { stored }: PathHistory) {
  const [latest] = stored;
  const quarantined = (await quarantinedAs(options.folders.quarantine, path)).at(-1);
  const isNewer = quarantined !== undefined && (latest === undefined || quarantined.ledgerId > latest.ledgerId);
  if (isNewer) return inQuarantine(path, quarantined);
  const rare = options.liveState.rareOutcome(textOf(path));
  if (rare?.event === 'duplicate' && latest !== undefined) {
    const { id, of } = rare.fields;
    const facts = { ...objectFacts(latest), ledgerId: String(id), duplicateOf: String(of), at: rare.at.toISOString() };
    return tell(path, 'duplicate', facts, 'The same content was stored for this path before: nothing was sent.');
  }
  if (latest !== undefined && (rare === undefined || rare.at < latest.storedAt)) {
    const { size: bytes, ledgerId, storedAt } = latest;
    const facts = { ...objectFacts(latest), bytes, ledgerId, at: storedAt.toISOString() };
    return tell(path, 'uploaded', facts, 'It is in S3, and it left the drop folder after its row was in the ledger.');
  }
  if (rare === undefined) return undefined;
  return tell(
    path,
    'gone',
    { at: rare.at.toISOString() },
    'It left the folder before it was uploaded: somebody took it away.',
  );
}

const inQuarantine = (path: RelativePath, { at, reason, hint, ledgerId }: QuarantinedFile): Explanation =>
  tell(
    path,
    'quarantined',
    { error: reason, ledgerId, in: textOf(at) },
    hint || undefined,
    'Once that is mended: dropledger retry FILE.',
  );

function nowhere(options: ExplainOptions, path: RelativePath): Explanation {
  const rule = options.intake.ignoredBy(path);
  return tell(
    path,
    'never-seen',
    {},
    'Nothing is there, and nothing was ever uploaded from there, as far as this machine remembers (journal.rememberDays).',
    rule === undefined ? undefined : `It would be ignored, by the rule ${rule}.`,
    'dropledger ledger list --path tells what other machines and times recorded.',
  );
}
