import { closeSync, fstatSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { s3Error } from '../s3-error.ts';
import { type BucketRecord, type Catalog, type ObjectRecord, openCatalog } from './catalog.ts';
import { placeObject, removeObjectFile } from './object-files.ts';
import { createStaging, type StagedFile } from './staging.ts';
import { createUploads, type Uploads } from './uploads.ts';

/** A write that is under way; it remembers whether its key was deleted meanwhile. */
export interface PendingWrite extends Disposable {
  readonly bucket: string;
  readonly key: string;
  deletedMeanwhile: boolean;
}

export interface ObjectStore extends Disposable {
  readonly uploads: Uploads;
  readonly stage: () => StagedFile;
  createBucket(name: string, region: string): void;
  /** Throws NoSuchBucket. */
  bucket(name: string): BucketRecord;
  hasBucket(name: string): boolean;
  buckets(): BucketRecord[];
  /** Throws BucketNotEmpty. */
  deleteBucket(name: string): void;
  object(bucket: string, key: string): ObjectRecord | undefined;
  objectsFrom: Catalog['objectsFrom'];
  /** Opens the object's file: the bytes stay those of this moment, whatever is put or deleted. Throws NoSuchKey. */
  openObject(bucket: string, key: string): OpenedObject;
  /** Announces a write before its bytes are read. */
  beginWrite(bucket: string, key: string): PendingWrite;
  /**
   * Makes a finished staged file the object, in one step. With `onlyIfAbsent`: throws PreconditionFailed where the key
   * exists, ConditionalRequestConflict where it was deleted while this write was under way.
   */
  putObject(
    write: PendingWrite,
    staged: StagedFile,
    info: Omit<ObjectRecord, 'file' | 'size' | 'modifiedMs'>,
    conditions: { readonly onlyIfAbsent: boolean },
  ): ObjectRecord;
  /** A key that doesn't exist is fine. */
  deleteObject(bucket: string, key: string): void;
}

export interface OpenedObject extends Disposable {
  readonly fd: number;
  /** Of the file as it is: somebody may have changed it by hand, which a test of damage wants to see. */
  readonly size: number;
  readonly record: ObjectRecord;
}

/** `directory`: a folder a bucket, and `.metadata` (no bucket's name begins with a dot). */
export function openObjectStore(directory: string, now: () => number): ObjectStore {
  const metadata = join(directory, '.metadata');
  mkdirSync(metadata, { recursive: true });
  const stage = createStaging(join(metadata, 'staging'));
  const catalog = openCatalog(join(metadata, 'catalog.db'));
  const pending = new Set<PendingWrite>();
  const buckets = new Map(catalog.buckets().map((bucket) => [bucket.name, bucket]));
  const folderOf = (bucket: string) => join(directory, bucket);

  function find(name: string): BucketRecord {
    const bucket = buckets.get(name);
    if (bucket === undefined) throw s3Error('NoSuchBucket', { details: { BucketName: name } });
    return bucket;
  }

  return {
    uploads: createUploads({ catalog, directory: join(metadata, 'uploads'), stage, now }),
    stage,
    createBucket(name, region) {
      mkdirSync(folderOf(name), { recursive: true });
      const bucket = { name, region, createdMs: now() };
      catalog.putBucket(bucket);
      buckets.set(name, bucket);
    },
    bucket: find,
    hasBucket: (name) => buckets.has(name),
    buckets: () => [...buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    deleteBucket(name) {
      if (catalog.objectsFrom(name, { after: '', from: '', limit: 1 }).length > 0) throw s3Error('BucketNotEmpty');
      catalog.deleteBucket(name);
      buckets.delete(name);
      rmSync(folderOf(name), { recursive: true, force: true });
    },
    object: (bucket, key) => catalog.object(bucket, key),
    objectsFrom: catalog.objectsFrom,
    openObject(bucket, key) {
      const record = catalog.object(bucket, key);
      const fd = record === undefined ? undefined : openIfThere(join(folderOf(bucket), record.file));
      if (record === undefined || fd === undefined) throw s3Error('NoSuchKey', { details: { Key: key } });
      return { fd, record, size: fstatSync(fd).size, [Symbol.dispose]: () => closeSync(fd) };
    },
    beginWrite(bucket, key) {
      const write: PendingWrite = {
        bucket,
        key,
        deletedMeanwhile: false,
        [Symbol.dispose]: () => pending.delete(write),
      };
      pending.add(write);
      return write;
    },
    putObject({ bucket, key, deletedMeanwhile }, staged, info, { onlyIfAbsent }) {
      find(bucket);
      const current = catalog.object(bucket, key);
      if (onlyIfAbsent && current !== undefined) throw preconditionFailed();
      if (onlyIfAbsent && deletedMeanwhile) throw s3Error('ConditionalRequestConflict', { details: { Key: key } });
      const file = placeObject(folderOf(bucket), key, staged, current?.file);
      const record = { ...info, file, size: staged.size, modifiedMs: now() };
      catalog.putObject(bucket, key, record);
      return record;
    },
    deleteObject(bucket, key) {
      const record = catalog.object(bucket, key);
      if (record === undefined) return;
      catalog.deleteObject(bucket, key);
      removeObjectFile(folderOf(bucket), record.file);
      for (const write of pending) {
        if (write.bucket === bucket && write.key === key) write.deletedMeanwhile = true;
      }
    },
    [Symbol.dispose]: () => catalog.close(),
  };
}

export const preconditionFailed = () => s3Error('PreconditionFailed', { details: { Condition: 'If-None-Match' } });

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
