/** What the daemon says of itself at start. */
import type { Config } from '../config/schema.ts';
import type { JournalOrigin } from '../journal/database.ts';
import type { EventFields, EventLog } from '../model.ts';
import { version } from '../service/version.ts';

export function sayOriginOf(origin: JournalOrigin, log: EventLog): void {
  const hint =
    'files still in the folder may be stored and recorded once more; dropledger journal rebuild, before the start, prevents that';
  if (origin.kind === 'new') log.info('journal-reset', {}, 'there was no journal: a new one begins');
  if (origin.kind === 'lost') log.error('journal-reset', { hint }, 'the journal is gone: a new one begins');
  if (origin.kind === 'corrupt') {
    log.error('journal-reset', { moved_to: origin.movedTo, hint }, 'the journal was corrupt: a new one begins');
  }
  if (origin.kind === 'copy') {
    log.error('journal-reset', { hint }, 'the journal is a copy, of an earlier time perhaps: it begins a new chain');
  }
}

export function warnOfNetworkFileSystem(name: string | undefined, log: EventLog): void {
  if (name === undefined) return;
  const hint = 'files are found by rescans; lower dropFolder.rescanSeconds if that is too slow';
  log.warning(
    'warning',
    { file_system: name, hint },
    'the drop folder is on a network file system, which tells nothing of what other hosts write',
  );
}

export const readyFields = ({ dropFolder, s3, ledger }: Config, principal: string | null): EventFields => ({
  version,
  folder: dropFolder.path,
  bucket: s3.bucket,
  prefix: s3.prefix,
  ledger: `${ledger.host}/${ledger.database}`,
  principal: principal ?? undefined,
});
