import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { FileIdentity, MultipartProgress, StoredPart } from '../model.ts';
import type { Commit } from './group-commit.ts';
import { identityText } from './identity-text.ts';

/** An upload in S3 that no file wants any longer. */
export interface OrphanedUpload {
  readonly uploadId: string;
  readonly key: string;
}

export type MultipartJournal = ReturnType<typeof createMultipartJournal>;

export function createMultipartJournal(database: DatabaseSync, commit: Commit) {
  const insert = database.prepare(
    'INSERT INTO multipart_uploads (upload_id, key, file_id, identity, part_size, created_at) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const insertPart = database.prepare(`
    INSERT OR REPLACE INTO parts (upload_id, number, etag, crc32, size)
    SELECT upload_id, ?, ?, ?, ? FROM multipart_uploads WHERE upload_id = ?`);
  const remove = database.prepare('DELETE FROM multipart_uploads WHERE upload_id = ?');
  const removeOfFile = database.prepare('DELETE FROM multipart_uploads WHERE file_id = ? AND identity = ? AND key = ?');
  const newest = database.prepare(
    'SELECT * FROM multipart_uploads WHERE file_id = ? AND identity = ? AND key = ? ORDER BY created_at DESC LIMIT 1',
  );
  const partsOf = database.prepare('SELECT * FROM parts WHERE upload_id = ? ORDER BY number');
  const orphans = database.prepare(`
    SELECT upload_id, key FROM multipart_uploads AS upload WHERE NOT EXISTS (
      SELECT 1 FROM files WHERE files.file_id = upload.file_id AND files.identity = upload.identity
        AND files.key = upload.key AND files.state = 'queued')`);

  return {
    started(fileId: string, identity: FileIdentity, upload: Omit<MultipartProgress, 'parts'>): Promise<void> {
      const { uploadId, key, partSizeBytes, createdAt } = upload;
      return commit(
        () => void insert.run(uploadId, key, fileId, identityText(identity), partSizeBytes, createdAt.getTime()),
      );
    },

    partStored(uploadId: string, { number, etag, crc32, size }: StoredPart): Promise<void> {
      return commit(() => void insertPart.run(number, etag, crc32, size, uploadId));
    },

    gone(uploadId: string): Promise<void> {
      return commit(() => void remove.run(uploadId));
    },

    /**
     * The upload of this very file under this key became the object (to be called inside a commit). One of what the
     * file was before, whose abort failed, is still to be aborted.
     */
    completed(fileId: string, identity: FileIdentity, key: string): void {
      removeOfFile.run(fileId, identityText(identity), key);
    },

    /** The upload that can be resumed: of this very file, under this key. */
    resumable(fileId: string, identity: FileIdentity, key: string): MultipartProgress | undefined {
      const row = newest.get(fileId, identityText(identity), key);
      if (row === undefined) return undefined;
      const uploadId = String(row['upload_id']);
      return {
        uploadId,
        key: String(row['key']),
        partSizeBytes: Number(row['part_size']),
        createdAt: new Date(Number(row['created_at'])),
        parts: partsOf.all(uploadId).map(storedPart),
      };
    },

    /** Uploads whose file changed, was given another key, or is gone: S3 still keeps their parts. */
    orphans(): OrphanedUpload[] {
      return orphans.all().map((row) => ({ uploadId: String(row['upload_id']), key: String(row['key']) }));
    },
  };
}

const storedPart = (row: Record<string, SQLOutputValue>): StoredPart => ({
  number: Number(row['number']),
  etag: String(row['etag']),
  crc32: Number(row['crc32']),
  size: Number(row['size']),
});
