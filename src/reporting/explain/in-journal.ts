import type { Explanation } from '../../control/protocol.ts';
import type { FileDetails, PathHistory, StoredBefore } from '../../journal/path-history.ts';
import type { RelativePath } from '../../model.ts';
import { type Facts, nothingWasSent, objectFacts, tell } from './tell.ts';

export interface Outages {
  /** Why uploads are paused; undefined while they go on. */
  paused(): string | undefined;
  /** Why the ledger is down; undefined while it is up. */
  ledgerDown(): string | undefined;
}

/** A file that waits, or rests in the folder; undefined where the journal knows of none. */
export function inJournal(options: Outages, path: RelativePath, history: PathHistory): Explanation | undefined {
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

function queued({ paused }: Outages, path: RelativePath, file: FileDetails, facts: Facts): Explanation {
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

function quarantineAhead(options: Outages, path: RelativePath, file: FileDetails, facts: Facts): Explanation {
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

function storedAlready(options: Outages, path: RelativePath, { state }: FileDetails, facts: Facts): Explanation {
  const isDuplicate = facts['duplicateOf'] !== undefined;
  const sent = isDuplicate ? nothingWasSent : 'It is in S3.';
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

function waitsForLedger({ ledgerDown }: Outages): string {
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
