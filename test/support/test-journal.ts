import { createHash } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import type { QueuedFile } from '../../src/journal/file-rows.ts';
import { type Journal, type JournalOptions, openJournal } from '../../src/journal/journal.ts';
import type { Outcome, UnchainedRow } from '../../src/journal/outbox.ts';
import { rowHash } from '../../src/ledger/row-hash.ts';
import type { Disposition, FileIdentity, OutboxRow, SettledFile } from '../../src/model.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { sampleRow } from './ledger-rows.ts';
import { tempFolder } from './temp-folder.ts';

export const testBucket = 'records';

export interface TestJournal extends AsyncDisposable {
  readonly path: string;
  journal(): Journal;
  /** Closes and opens it, as a restart does. */
  reopen(): Promise<Journal>;
}

/** The real journal on a file of its own. */
export async function openTestJournal(options: Pick<JournalOptions, 'tookFilesBefore'> = {}): Promise<TestJournal> {
  const folder = await tempFolder();
  const path = folder.at('journal.db');
  let journal = openJournal({ path, rowHash, ...options });
  return {
    path,
    journal: () => journal,
    async reopen() {
      await journal[Symbol.asyncDispose]();
      journal = openJournal({ path, rowHash });
      return journal;
    },
    async [Symbol.asyncDispose]() {
      await journal[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Made-up, and the same for the same numbers: `content` stands for the bytes, `touched` for a change of the mode. */
export const identityOf = ({ content = 1, touched = 0, size = 100, ino = 1 } = {}): FileIdentity => ({
  ino: BigInt(ino),
  size,
  mtimeNs: 1_700_000_000_000_000_000n + BigInt(content),
  ctimeNs: 1_700_000_000_000_000_000n + BigInt(content) + BigInt(touched) * 1_000_000_000n,
});

export const settledFile = (path: string, identity: FileIdentity = identityOf()): SettledFile => ({
  path: pathFromText(path),
  identity,
  detectedAt: new Date('2026-03-01T12:00:00Z'),
});

/** All that waits, in order. */
export const queueOf = (journal: Journal): QueuedFile[] =>
  journal.files.queuedAfter(0, { least: 0, most: Number.MAX_SAFE_INTEGER }, 1000).jobs;

/** The one file that waits under this path. */
export function queued(journal: Journal, path: string): QueuedFile {
  const file = journal.files.queued(pathFromText(path));
  if (file === undefined) throw new Error(`${path} is not in the queue`);
  return file;
}

export const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What a pass that stored the file comes to. */
export function storedOutcome(
  file: QueuedFile,
  { content = 'content', key = 'key', bucket = testBucket } = {},
): Outcome {
  const id = uuidv7();
  const sha256 = sha256Of(content);
  const { path, identity } = file;
  return {
    row: unchained(file, id),
    file,
    disposition: { kind: 'after-upload', ledgerId: id },
    stored: { path, size: identity.size, sha256, bucket, key, ledgerId: id },
  };
}

/** What a pass that refused the file comes to. */
export function quarantineOutcome(file: QueuedFile): Outcome {
  const id = uuidv7();
  const disposition: Disposition = {
    kind: 'quarantine',
    reason: 'the key is too long',
    hint: 'Shorten it.',
    ledgerId: id,
  };
  return { row: unchained(file, id), file, disposition };
}

function unchained(file: QueuedFile, id: string): UnchainedRow {
  const { chain: _chain, seq: _seq, previous_hash: _previous, row_hash: _hash, ...row } = sampleRow();
  return { ...row, id, file_id: file.fileId };
}

/** As if Postgres had taken everything that waits. */
export async function recordAll({ outbox }: Journal): Promise<OutboxRow[]> {
  const rows = outbox.store.next(1000);
  await outbox.store.recorded(rows);
  return rows;
}
