/** Holds ledger, bucket, folders and journal to what the writers know. Each finding is a sentence. */
import { DatabaseSync } from 'node:sqlite';
import { createChainCheck } from '../../src/ledger/chain-check.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { createLedgerReader } from '../../src/ledger/reader.ts';
import type { Workplace } from '../support/daemon-workplace.ts';
import { recordingLog } from '../support/recording-log.ts';
import { judgeFolders } from './folder-verdict.ts';
import type { KnownFiles } from './known-files.ts';
import { judgeObjects } from './object-verdict.ts';
import type { Find } from './occurrences.ts';
import { judgeRows } from './row-verdict.ts';

export interface Verdict {
  readonly findings: readonly string[];
  readonly rows: number;
  /** Keys of objects without a row whose files were replaced or taken away before their put was answered. */
  readonly unrecordedObjects: readonly string[];
}

/** To be called when no daemon runs any more. */
export async function judge(place: Workplace, known: KnownFiles): Promise<Verdict> {
  const rows = await place.rows();
  const findings: string[] = [];
  const find = (finding: string) => void findings.push(finding);
  const onConflict = place.config.s3?.onConflict ?? 'keep-both';
  judgeRows(rows, { known, onConflict }, find);
  await judgeChain(place, find);
  const unrecordedObjects = await judgeObjects(place.store, rows, { known, onConflict }, find);
  await judgeFolders(place, { rows, known }, find);
  judgeJournal(place, find);
  return { findings, rows: rows.length, unrecordedObjects };
}

async function judgeChain({ database }: Workplace, find: Find): Promise<void> {
  await using pool = createLedgerPool({ ...database.reader, log: recordingLog() });
  const check = createChainCheck({ fromStart: true });
  await createLedgerReader(pool).each({}, (rows) => {
    for (const row of rows) check.add(row);
  });
  const { findingCount, findings, chains } = check.report();
  if (findingCount > 0) find(`the chain: ${findingCount} findings, such as ${JSON.stringify(findings.slice(0, 3))}`);
  if (chains.length > 1) find(`${chains.length} chains, of one journal`);
}

/** Nothing waits any more, and nothing is remembered of files that are gone. */
function judgeJournal({ config }: Workplace, find: Find): void {
  const database = new DatabaseSync(String(config.journal?.path), { readOnly: true });
  try {
    const waiting = database.prepare('SELECT count(*) AS rows FROM outbox').get()?.['rows'];
    if (waiting !== 0) find(`the journal: ${waiting} rows wait in the outbox`);
    const uploads = database.prepare('SELECT key, upload_id FROM multipart_uploads').all();
    if (uploads.length > 0) find(`the journal: uploads are remembered: ${JSON.stringify(uploads.slice(0, 5))}`);
    const resting = config.dropFolder?.afterUpload === 'keep' ? 'kept' : '';
    const files = database.prepare('SELECT CAST(path AS TEXT) AS path, state FROM files WHERE state <> ?').all(resting);
    if (files.length > 0) find(`the journal: ${files.length} files wait: ${JSON.stringify(files.slice(0, 5))}`);
  } finally {
    database.close();
  }
}
