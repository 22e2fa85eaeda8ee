import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Disposition, RelativePath } from '../model.ts';
import { bytesOf } from '../service/path-bytes.ts';
import type { FileState } from './file-rows.ts';

/** All that the journal knows of one path. */
export interface PathHistory {
  /** The file that is there, or was when it was last looked at. */
  readonly file: FileDetails | undefined;
  /** What was stored under this path, the newest first; only the last few. */
  readonly stored: readonly StoredBefore[];
}

export interface FileDetails {
  readonly state: FileState;
  /** Bytes. */
  readonly size: number;
  readonly detectedAt: Date;
  readonly attempts: number;
  /** Milliseconds since 1970; 0 for at once. */
  readonly nextTryAt: number;
  readonly lastError: string | undefined;
  /** Undefined until its outcome is known. */
  readonly disposition: Disposition | undefined;
  /** Why Postgres refuses its row; undefined where it does not. */
  readonly setAside: string | undefined;
}

export interface StoredBefore {
  readonly size: number;
  readonly sha256: string;
  readonly bucket: string;
  readonly key: string;
  readonly ledgerId: string;
  readonly storedAt: Date;
}

export type HistoryOf = (path: RelativePath) => PathHistory;

const fewRows = 5;

export function createPathHistory(database: DatabaseSync): HistoryOf {
  // Prepared when somebody asks: most daemons are never asked.
  const sql = (text: string, ...values: (string | Uint8Array)[]) => database.prepare(text).all(...values);

  const setAsideOf = (fileId: string): string | undefined => {
    const [row] = sql('SELECT set_aside FROM outbox WHERE set_aside IS NOT NULL AND file_id = ?', fileId);
    return row === undefined ? undefined : String(row['set_aside']);
  };

  const details = (row: Record<string, SQLOutputValue>): FileDetails => {
    const { disposition, last_error: lastError } = row;
    return {
      state: row['state'] as FileState,
      size: Number(row['size']),
      detectedAt: new Date(Number(row['detected_at'])),
      attempts: Number(row['attempts']),
      nextTryAt: Number(row['next_try_at']),
      lastError: typeof lastError === 'string' ? lastError : undefined,
      disposition: typeof disposition === 'string' ? (JSON.parse(disposition) as Disposition) : undefined,
      setAside: row['state'] === 'stored' ? setAsideOf(String(row['file_id'])) : undefined,
    };
  };

  return (path) => {
    const [file] = sql('SELECT * FROM files WHERE path = ?', bytesOf(path));
    const stored = sql(
      `SELECT * FROM stored_objects WHERE path = ? ORDER BY rowid DESC LIMIT ${fewRows}`,
      bytesOf(path),
    );
    return {
      file: file && details(file),
      stored: stored.map((row) => ({
        size: Number(row['size']),
        sha256: Buffer.from(row['sha256'] as Uint8Array).toString('hex'),
        bucket: String(row['bucket']),
        key: String(row['key']),
        ledgerId: String(row['ledger_id']),
        storedAt: new Date(Number(row['stored_at'])),
      })),
    };
  };
}
