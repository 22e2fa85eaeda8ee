import type { LedgerRow } from '../model.ts';

type SqlType = 'uuid' | 'text' | 'bigint' | 'integer' | 'timestamptz';

/** The columns of `dropledger.uploads` that a row brings along, in the table's order: all but `recorded_at`. */
export const columns = {
  id: 'uuid',
  file_id: 'uuid',
  host: 'text',
  instance: 'text',
  path: 'text',
  size_bytes: 'bigint',
  sha256: 'text',
  modified_at: 'timestamptz',
  file_owner: 'text',
  content_type: 'text',
  bucket: 'text',
  object_key: 'text',
  version_id: 'text',
  etag: 'text',
  s3_request_id: 'text',
  checksum_type: 'text',
  checksum: 'text',
  part_count: 'integer',
  status: 'text',
  error: 'text',
  duplicate_of: 'uuid',
  attempts: 'integer',
  detected_at: 'timestamptz',
  started_at: 'timestamptz',
  uploaded_at: 'timestamptz',
  principal: 'text',
  daemon_version: 'text',
  chain: 'uuid',
  seq: 'bigint',
  previous_hash: 'text',
  row_hash: 'text',
} as const satisfies Record<keyof LedgerRow, SqlType>;

export const columnNames = Object.keys(columns) as (keyof LedgerRow)[];
