import { crc32 } from '@node-rs/crc32';
import type { MultipartProgress, StoredPart, StoreRequest } from '../model.ts';
import { withAttempts } from './attempts.ts';
import type { StoreContext } from './context.ts';
import { isUnknownUpload, S3Failure } from './failure.ts';
import { type PartRange, partRanges } from './part-layout.ts';
import { FileChanged, readFully, readPieces } from './read-range.ts';
import type { RunningSha256 } from './sha256.ts';

export interface SentParts {
  /** All of the file's, in order. */
  readonly parts: readonly StoredPart[];
  /** Hex, over the whole file. */
  readonly sha256: string;
}

/** What S3 has of an earlier attempt are not this file's bytes. */
export class ResumedPartDiffers extends Error {}

/**
 * Reads the file once, from its beginning, and sends what S3 does not have yet, several parts at a time. When it settles
 * no request is under way and no buffer is held. Throws `S3Failure`, `FileChanged`, `ResumedPartDiffers`.
 */
export async function sendParts(
  context: StoreContext,
  request: StoreRequest,
  upload: MultipartProgress,
  signal: AbortSignal,
): Promise<SentParts> {
  const { file, onProgress } = request;
  const already = new Map(upload.parts.map((part) => [part.number, part]));
  const parts: StoredPart[] = [];
  const underWay = new Set<Promise<void>>();
  const failed = new AbortController();
  const stopping = AbortSignal.any([signal, failed.signal]);
  using hash = context.sha256.start();
  let bytesStored = 0;

  const stored = (part: StoredPart) => {
    parts[part.number - 1] = part;
    bytesStored += part.size;
    onProgress(bytesStored);
  };
  const inBackground = (work: Promise<void>) => {
    const watched: Promise<void> = work.catch((error) => failed.abort(error)).finally(() => underWay.delete(watched));
    underWay.add(watched);
  };

  try {
    for (const range of partRanges(file.identity.size, upload.partSizeBytes)) {
      // What is written to, or was taken away, need not be sent to its end.
      if (!(await file.unchanged())) throw new FileChanged('the file changed');
      const work = { context, request, upload, range, known: already.get(range.number), hash, stopping, stored };
      const { rest } = await (range.size > context.buffers.largest ? streamPart(work) : bufferPart(work));
      inBackground(rest);
      stopping.throwIfAborted();
    }
    const sha256 = await hash.digest();
    await Promise.all(underWay);
    stopping.throwIfAborted();
    return { parts, sha256 };
  } catch (error) {
    failed.abort(error);
    throw stopping.reason;
  } finally {
    await Promise.all(underWay);
  }
}

interface PartWork {
  readonly context: StoreContext;
  readonly request: StoreRequest;
  readonly upload: MultipartProgress;
  readonly range: PartRange;
  /** What S3 has of it from an earlier attempt. */
  readonly known: StoredPart | undefined;
  readonly hash: RunningSha256;
  readonly stopping: AbortSignal;
  stored(part: StoredPart): void;
}

/** What is left to do once the part is read; in an object, for a promise of a promise waits for both. */
interface Rest {
  readonly rest: Promise<void>;
}

/** Reads the part into a buffer of the pool: hashed and sent from there at the same time. */
async function bufferPart(work: PartWork): Promise<Rest> {
  const { context, request, range, known, hash, stopping } = work;
  const buffer = await context.buffers.take(range.size, work.upload, stopping);
  try {
    if (!(await readFully(request.file, buffer.bytes, range.start))) throw new FileChanged('the file ended early');
  } catch (error) {
    buffer[Symbol.dispose]();
    throw error;
  }
  const hashed = hash.add(buffer.bytes);
  const checksum = crc32(buffer.bytes);
  const sent = known === undefined ? sendBuffer(work, buffer.bytes, checksum) : sameAsKnown(known, range, checksum);

  async function finish() {
    await Promise.allSettled([hashed, sent]);
    buffer[Symbol.dispose]();
    await hashed;
    await keep(work, await sent);
  }
  return { rest: finish() };
}

/** A part that no buffer holds: read once for its checksum, and again as it is sent. */
async function streamPart(work: PartWork): Promise<Rest> {
  const { context, request, range, known, hash } = work;
  const { file } = request;
  using payloadHash = context.signPayloads ? context.sha256.start() : undefined;
  let checksum = 0;
  for await (const piece of readPieces(file, { start: range.start, length: range.size })) {
    checksum = crc32(piece, checksum);
    await hash.add(piece);
    await payloadHash?.add(piece);
    work.stopping.throwIfAborted();
  }
  if (known !== undefined) return { rest: sameAsKnown(known, range, checksum).then((part) => keep(work, part)) };
  const sha256 = await payloadHash?.digest();
  const body = () => readPieces(file, { start: range.start, length: range.size });
  return { rest: sendPart(work, { body, crc32: checksum, sha256 }).then((part) => keep(work, part)) };
}

async function sendBuffer(work: PartWork, bytes: Uint8Array, checksum: number): Promise<StoredPart> {
  const { signPayloads, sha256 } = work.context;
  return sendPart(work, { body: bytes, crc32: checksum, sha256: signPayloads ? await sha256.of(bytes) : undefined });
}

interface PartContent {
  readonly body: Uint8Array | (() => AsyncIterable<Uint8Array>);
  readonly crc32: number;
  readonly sha256: string | undefined;
}

async function sendPart(
  { context, request, upload, range, stopping }: PartWork,
  { body, crc32: checksum, sha256 }: PartContent,
): Promise<StoredPart> {
  const { key } = request;
  const { number, size } = range;
  const sent = context.checksums === 'off' ? undefined : checksum;
  const part = { key, uploadId: upload.uploadId, number, body, size, crc32: sent, sha256 };
  const answer = await withAttempts(
    async () => {
      using _slot = await context.slots.take(upload, 1, stopping);
      return await context.calls.uploadPart(part, { signal: stopping });
    },
    { patience: context.patience, signal: stopping },
  );
  if (answer.etag === undefined) {
    throw new S3Failure({ code: 'NotUnderstood', message: 'a part was answered without ETag', status: 500 });
  }
  context.confirm(answer, sent);
  return { number, etag: answer.etag, crc32: checksum, size };
}

async function sameAsKnown(known: StoredPart, { number, size }: PartRange, checksum: number): Promise<StoredPart> {
  if (known.size === size && known.crc32 === checksum) return known;
  throw new ResumedPartDiffers(`part ${number} is not what was sent before`);
}

async function keep({ request, upload, known, stored }: PartWork, part: StoredPart): Promise<void> {
  if (known === undefined) await request.notes.partStored(upload.uploadId, part);
  stored(part);
}

/** Whether S3 still has the upload: its last part is sent once more, the same bytes under the same number. */
export async function isUploadStillThere(
  context: StoreContext,
  request: StoreRequest,
  upload: MultipartProgress,
  signal: AbortSignal,
): Promise<boolean> {
  const last = upload.parts.at(-1);
  if (last === undefined || last.size > context.buffers.largest) return true;
  using buffer = await context.buffers.take(last.size, upload, signal);
  const start = (last.number - 1) * upload.partSizeBytes;
  const read = await readFully(request.file, buffer.bytes, start);
  if (!read || crc32(buffer.bytes) !== last.crc32) return true;
  const range = { number: last.number, start, size: last.size };
  const work = { context, request, upload, range, stopping: signal } as PartWork;
  try {
    await sendBuffer(work, buffer.bytes, last.crc32);
    return true;
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error;
    return !isUnknownUpload(error);
  }
}
