/** What happened, or will happen, to one file, and why: for the person who asks. */
import type { Explanation } from '../../control/protocol.ts';
import { pathIn } from '../../drop-folder/folder.ts';
import type { Folders } from '../../drop-folder/folders.ts';
import type { ScanReport } from '../../drop-folder/intake.ts';
import { type QuarantinedFile, quarantinedAs } from '../../drop-folder/quarantine.ts';
import type { PathHistory, StoredBefore } from '../../journal/path-history.ts';
import type { RelativePath } from '../../model.ts';
import { LocalFailure, messageOf } from '../../service/errors.ts';
import { isBelow, pathFromText, pathFromWritten, textOf } from '../../service/path-bytes.ts';
import type { LiveState, RareOutcome } from '../live-state.ts';
import { inJournal, type Outages } from './in-journal.ts';
import { nothingWasSent, objectFacts, tell } from './tell.ts';

export interface ExplainOptions extends Outages {
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
}

/** `text`: a path below the drop folder, as the shell or as the journal writes it. */
export async function explain(options: ExplainOptions, text: string): Promise<Explanation> {
  const asGiven = await explainPath(options, pathFromText(text));
  if (asGiven.state !== 'never-seen' || !text.includes('\\')) return asGiven;
  return explainPath(options, pathFromWritten(text));
}

async function explainPath(options: ExplainOptions, path: RelativePath): Promise<Explanation> {
  if (!isBelow(path)) throw new LocalFailure(`${JSON.stringify(textOf(path))} is not a path below the drop folder`);
  const history = options.historyOf(path);
  return (
    underWay(options, path) ??
    inJournal(options, path, history) ??
    (await inFolder(options, path)) ??
    (await leftFolder(options, path, history)) ??
    nowhere(options, path)
  );
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
      { kind: there.isSymbolicLink() ? 'symlink' : 'not a regular file' },
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

/** What is not there any longer, and left a trace: the latest of what is known. */
async function leftFolder(options: ExplainOptions, path: RelativePath, { stored }: PathHistory) {
  const [latest] = stored;
  const quarantined = (await quarantinedAs(options.folders.quarantine, path)).at(-1);
  const isLatest = quarantined !== undefined && (latest === undefined || quarantined.ledgerId > latest.ledgerId);
  if (isLatest) return inQuarantine(path, quarantined);
  const rare = options.liveState.rareOutcome(textOf(path));
  if (rare !== undefined && (latest === undefined || rare.at >= latest.storedAt))
    return outOfOrdinary(path, rare, stored);
  if (latest === undefined) return undefined;
  const { size: bytes, ledgerId, storedAt } = latest;
  const facts = { ...objectFacts(latest), bytes, ledgerId, at: storedAt.toISOString() };
  return tell(path, 'uploaded', facts, 'It is in S3, and it left the drop folder after its row was in the ledger.');
}

function outOfOrdinary(path: RelativePath, { event, at, fields }: RareOutcome, stored: readonly StoredBefore[]) {
  if (event === 'gone') {
    const note = 'It left the folder before it was uploaded: somebody took it away.';
    return tell(path, 'gone', { at: at.toISOString() }, note);
  }
  const { id, of } = fields;
  const original = stored.find(({ ledgerId }) => ledgerId === of);
  const facts = { ledgerId: String(id), duplicateOf: String(of), at: at.toISOString() };
  return tell(path, 'duplicate', { ...(original && objectFacts(original)), ...facts }, nothingWasSent);
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
