import { randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { s3Error } from '../s3-error.ts';
import type { Catalog, PartRecord, UploadRecord } from './catalog.ts';
import type { StagedFile } from './staging.ts';

/** Multipart uploads: open ones with their parts, and completed ones, remembered for a while. */
export interface Uploads {
  start(upload: Omit<UploadRecord, 'id' | 'startedMs' | 'completedAs'>): UploadRecord;
  /** An upload of this very key, open or completed. Throws NoSuchUpload. */
  find(bucket: string, key: string, id: string): UploadRecord;
  /** The same, of open ones alone. */
  findOpen(bucket: string, key: string, id: string): UploadRecord;
  /** Those still open, in order of key and id. */
  open(bucket: string, fromKey?: string): UploadRecord[];
  /** Keeps a finished staged file as a part, in the place of an earlier one of its number. */
  putPart(upload: UploadRecord, staged: StagedFile, part: Omit<PartRecord, 'file' | 'size' | 'modifiedMs'>): void;
  parts(id: string): PartRecord[];
  /** The parts' bytes, one after the other, as a staged file. */
  assemble(upload: UploadRecord, parts: readonly PartRecord[]): Promise<StagedFile>;
  completed(upload: UploadRecord, etag: string): void;
  abort(upload: UploadRecord): void;
  /** Runs after whatever runs under this id already: two Completes of one upload must not meet. */
  exclusively<T>(id: string, work: () => Promise<T>): Promise<T>;
}

export function createUploads({
  catalog,
  directory,
  stage,
  now,
}: {
  readonly catalog: Catalog;
  readonly directory: string;
  readonly stage: () => StagedFile;
  readonly now: () => number;
}): Uploads {
  const running = new Map<string, Promise<unknown>>();

  function find(bucket: string, key: string, id: string): UploadRecord {
    const upload = catalog.upload(id);
    if (upload === undefined || upload.bucket !== bucket || upload.key !== key) {
      throw s3Error('NoSuchUpload', { details: { UploadId: id } });
    }
    return upload;
  }

  function findOpen(bucket: string, key: string, id: string): UploadRecord {
    const upload = find(bucket, key, id);
    if (upload.completedAs !== undefined) throw s3Error('NoSuchUpload', { details: { UploadId: id } });
    return upload;
  }

  function dropParts(id: string): void {
    catalog.deleteParts(id);
    rmSync(join(directory, id), { recursive: true, force: true });
  }

  return {
    start(upload) {
      const record: UploadRecord = {
        ...upload,
        id: randomBytes(32).toString('hex'),
        startedMs: now(),
        completedAs: undefined,
      };
      mkdirSync(join(directory, record.id), { recursive: true });
      catalog.putUpload(record);
      return record;
    },
    find,
    findOpen,
    open: (bucket, fromKey = '') => catalog.openUploads(bucket, fromKey),
    putPart({ bucket, key, id }, staged, part) {
      // It may have been aborted or completed while the bytes came in.
      findOpen(bucket, key, id);
      const earlier = catalog.part(id, part.number);
      const file = `${part.number}-${randomBytes(4).toString('hex')}`;
      staged.moveTo(join(directory, id, file));
      catalog.putPart(id, { ...part, file, size: staged.size, modifiedMs: now() });
      if (earlier !== undefined) rmSync(join(directory, id, earlier.file), { force: true });
    },
    parts: (id) => catalog.parts(id),
    async assemble({ id }, parts) {
      const staged = stage();
      try {
        for (const { file } of parts) {
          const part: AsyncIterable<Buffer> = createReadStream(join(directory, id, file), { highWaterMark: 1 << 20 });
          for await (const chunk of part) await staged.write(chunk);
        }
        await staged.finish();
        return staged;
      } catch (error) {
        await staged[Symbol.asyncDispose]();
        throw error;
      }
    },
    completed(upload, etag) {
      catalog.putUpload({ ...upload, completedAs: etag });
      dropParts(upload.id);
    },
    abort({ id }) {
      catalog.deleteUpload(id);
      dropParts(id);
    },
    async exclusively(id, work) {
      const before = running.get(id) ?? Promise.resolve();
      const mine = before.then(work, work);
      running.set(id, mine);
      try {
        return await mine;
      } finally {
        if (running.get(id) === mine) running.delete(id);
      }
    },
  };
}
