import { DatabaseSync } from 'node:sqlite';
import type { Checksum, ChecksumAlgorithm, ChecksumType } from '../checksums.ts';

/** What S3 knows beside the bytes, in one SQLite file: all of it synchronous, so that each change is one step. */

export interface BucketRecord {
  readonly name: string;
  readonly region: string;
  readonly createdMs: number;
}

export interface ObjectRecord {
  /** Path of its file inside the bucket's folder. */
  readonly file: string;
  readonly size: number;
  readonly modifiedMs: number;
  /** Without its quotes. */
  readonly etag: string;
  readonly checksum: (Checksum & { readonly type: ChecksumType }) | undefined;
  /** Content-Type and the like, and `x-amz-meta-*`: answered as they came. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface UploadRecord {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly startedMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: ChecksumType } | undefined;
  /** The object's ETag once the upload was completed: then it is kept only to answer a repeated Complete. */
  readonly completedAs: string | undefined;
}

export interface PartRecord {
  readonly number: number;
  /** Name of its file in the upload's folder. */
  readonly file: string;
  readonly size: number;
  readonly modifiedMs: number;
  readonly etag: string;
  /** Base64. */
  readonly checksum: string | undefined;
}

const schema = `
  CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (bucket, key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (upload, number)
  ) WITHOUT ROWID;
`;

export type Catalog = ReturnType<typeof openCatalog>;

/** Keys sort by their UTF-8 bytes, in SQLite as in S3. */
export function openCatalog(file: string) {
  const database = new DatabaseSync(file);
  // The endpoint promises nothing about power cuts: it may be fast instead.
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; ${schema}`);
  const statement = (sql: string) => database.prepare(sql);
  const records = <R>(rows: unknown[]): R[] => rows.map((row) => JSON.parse((row as { record: string }).record) as R);
  const record = <R>(row: unknown): R | undefined => (row === undefined ? undefined : records<R>([row])[0]);

  const sql = {
    putBucket: statement('INSERT INTO buckets VALUES (?, ?)'),
    listBuckets: statement('SELECT record FROM buckets ORDER BY name'),
    deleteBucket: statement('DELETE FROM buckets WHERE name = ?'),
    putObject: statement('INSERT OR REPLACE INTO objects VALUES (?, ?, ?)'),
    getObject: statement('SELECT record FROM objects WHERE bucket = ? AND key = ?'),
    deleteObject: statement('DELETE FROM objects WHERE bucket = ? AND key = ?'),
    objectsFrom: statement(
      'SELECT key, record FROM objects WHERE bucket = ? AND key > ? AND key >= ? ORDER BY key LIMIT ?',
    ),
    putUpload: statement('INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)'),
    getUpload: statement('SELECT record FROM uploads WHERE id = ?'),
    deleteUpload: statement('DELETE FROM uploads WHERE id = ?'),
    openUploads: statement(
      "SELECT record FROM uploads WHERE bucket = ? AND key >= ? AND record ->> 'completedAs' IS NULL ORDER BY key, id",
    ),
    putPart: statement('INSERT OR REPLACE INTO parts VALUES (?, ?, ?)'),
    getPart: statement('SELECT record FROM parts WHERE upload = ? AND number = ?'),
    partsOf: statement('SELECT record FROM parts WHERE upload = ? ORDER BY number'),
    deleteParts: statement('DELETE FROM parts WHERE upload = ?'),
  };

  return {
    putBucket: (bucket: BucketRecord) => sql.putBucket.run(bucket.name, JSON.stringify(bucket)),
    buckets: () => records<BucketRecord>(sql.listBuckets.all()),
    deleteBucket: (name: string) => sql.deleteBucket.run(name),

    putObject: (bucket: string, key: string, object: ObjectRecord) =>
      sql.putObject.run(bucket, key, JSON.stringify(object)),
    object: (bucket: string, key: string) => record<ObjectRecord>(sql.getObject.get(bucket, key)),
    deleteObject: (bucket: string, key: string) => sql.deleteObject.run(bucket, key),
    /** In order of their keys, those after `after` and not before `from`. */
    objectsFrom: (bucket: string, { after, from, limit }: { after: string; from: string; limit: number }) =>
      sql.objectsFrom.all(bucket, after, from, limit).map((row) => ({
        key: String(row['key']),
        object: JSON.parse(String(row['record'])) as ObjectRecord,
      })),

    putUpload: (upload: UploadRecord) =>
      sql.putUpload.run(upload.id, upload.bucket, upload.key, JSON.stringify(upload)),
    upload: (id: string) => record<UploadRecord>(sql.getUpload.get(id)),
    /** In order of key and id. */
    openUploads: (bucket: string, fromKey: string) => records<UploadRecord>(sql.openUploads.all(bucket, fromKey)),
    deleteUpload: (id: string) => sql.deleteUpload.run(id),
    putPart: (upload: string, part: PartRecord) => sql.putPart.run(upload, part.number, JSON.stringify(part)),
    part: (upload: string, number: number) => record<PartRecord>(sql.getPart.get(upload, number)),
    parts: (upload: string) => records<PartRecord>(sql.partsOf.all(upload)),
    deleteParts: (upload: string) => sql.deleteParts.run(upload),

    close: () => database.close(),
  };
}
