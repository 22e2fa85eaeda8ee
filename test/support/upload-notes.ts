import type { MultipartProgress, StoredPart, UploadNotes } from '../../src/model.ts';

export interface RecordedNotes extends UploadNotes {
  /** What was noted, in order: `storing`, `refused`, `started`, `part 3`, `gone`. */
  readonly written: readonly string[];
  /** The multipart upload that an attempt after a crash would be given. */
  progress(): MultipartProgress | undefined;
  /** Whether a put or a Complete went out and was not answered by a refusal. */
  readonly unanswered: boolean;
}

/** The notes an upload takes, in memory. */
export function recordNotes(): RecordedNotes {
  const written: string[] = [];
  let upload: Omit<MultipartProgress, 'parts'> | undefined;
  const parts: StoredPart[] = [];
  let unanswered = false;
  return {
    written,
    get unanswered() {
      return unanswered;
    },
    progress: () => upload && { ...upload, parts: [...parts] },
    async storing() {
      written.push('storing');
      unanswered = true;
    },
    async refused() {
      written.push('refused');
      unanswered = false;
    },
    async multipartStarted(started) {
      written.push('started');
      upload = started;
      parts.length = 0;
    },
    async partStored(uploadId, part) {
      if (uploadId !== upload?.uploadId) throw new Error('a part of an upload that was never noted');
      written.push(`part ${part.number}`);
      parts.push(part);
    },
    async multipartGone(uploadId) {
      written.push('gone');
      if (uploadId === upload?.uploadId) upload = undefined;
    },
  };
}
