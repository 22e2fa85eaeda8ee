/** Objects and rows as the daemon makes them, without a daemon: for the commands that compare the two. */
import { createHash, randomUUID } from 'node:crypto';
import { DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { v7 as uuidv7 } from 'uuid';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import type { LedgerRow } from '../../src/model.ts';
import { createS3Client } from '../../src/s3/client.ts';
import { createNetwork } from '../../src/service/network.ts';
import { sampleRow } from './ledger-rows.ts';
import type { TestDatabase } from './postgres.ts';
import { recordingLog } from './recording-log.ts';

export interface RecordedObjectsOptions {
  readonly url: string;
  readonly region: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly database: TestDatabase;
}

export interface RecordedObjects extends AsyncDisposable {
  /** Stores the content and records it; the row. */
  add(path: string, content: string | Buffer, changes?: Partial<LedgerRow>): Promise<LedgerRow>;
  /** Stores an object that no ledger knows. */
  put(key: string, content: string | Buffer, metadata?: Record<string, string>): Promise<string>;
  remove(key: string): Promise<void>;
  readonly rows: readonly LedgerRow[];
}

export async function createRecordedObjects(options: RecordedObjectsOptions): Promise<RecordedObjects> {
  const { url, region, bucket, prefix, credentials, database } = options;
  const network = await createNetwork({ env: {} });
  const place = { endpoint: url, region, forcePathStyle: true };
  const client: S3Client = createS3Client({ ...place, credentials: async () => credentials, network });
  const pool = createLedgerPool({ ...database.writer, log: recordingLog() });
  const chain = randomUUID();
  const rows: LedgerRow[] = [];

  async function put(key: string, content: string | Buffer, metadata: Record<string, string> = {}): Promise<string> {
    const put = new PutObjectCommand({ Bucket: bucket, Key: key, Body: Buffer.from(content), Metadata: metadata });
    return ((await client.send(put)).ETag ?? '').replaceAll('"', '');
  }

  return {
    rows,
    put,
    async add(path, content, changes = {}) {
      const key = prefix + path;
      const head = rows.at(-1)?.row_hash ?? null;
      const file_id = uuidv7();
      const etag = await put(key, content, {
        'dropledger-file-id': file_id,
        ...(head !== null && { 'dropledger-head': head }),
      });
      const row = sampleRow({
        ...{ file_id, path, bucket, object_key: key, etag, checksum_type: null, checksum: null },
        ...{ size_bytes: Buffer.byteLength(content), sha256: createHash('sha256').update(content).digest('hex') },
        ...{ chain, seq: rows.length + 1, previous_hash: head, uploaded_at: new Date().toISOString() },
        ...changes,
      });
      rows.push(row);
      await createLedger(pool).record([JSON.stringify(row)]);
      return row;
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      await pool[Symbol.asyncDispose]();
      await network[Symbol.asyncDispose]();
    },
  };
}
