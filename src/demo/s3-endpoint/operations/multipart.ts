import { createHash } from 'node:crypto';
import { type Answer, type Call, type Operation, onlyIfAbsent } from '../call.ts';
import {
  type ChecksumAlgorithm,
  type ChecksumType,
  checksumAlgorithm,
  checksumHeader,
  checksumOf,
  checksumOfParts,
  supportsType,
} from '../checksums.ts';
import { header } from '../request.ts';
import { s3Error } from '../s3-error.ts';
import type { PartRecord, UploadRecord } from '../store/catalog.ts';
import { preconditionFailed } from '../store/object-store.ts';
import { xmlDocument } from '../xml.ts';
import { type CompletedPart, parseCompletedParts, selectParts } from './completed-parts.ts';
import { describedHeaders, encryptionHeaders } from './object-headers.ts';
import { checkKey, etagOf } from './objects.ts';

/** "Multipart upload limits" of the S3 user guide. */
export const maxParts = 10_000;

export const createMultipartUpload: Operation = (call) => {
  const { store, bucket, key } = call;
  checkKey(key);
  const checksum = wantedChecksum(call);
  const headers = describedHeaders(call);
  const { id } = store.uploads.start({ bucket, key, headers, checksum });
  return {
    status: 200,
    headers: {
      'x-amz-checksum-algorithm': checksum?.algorithm,
      'x-amz-checksum-type': checksum?.type,
      ...encryptionHeaders(headers),
    },
    body: xmlDocument('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: id }),
  };
};

/** Composite unless full-object is asked for, as S3 has it for all that can be composite. */
function wantedChecksum({ request }: Call): UploadRecord['checksum'] {
  const name = header(request, 'x-amz-checksum-algorithm');
  const type = header(request, 'x-amz-checksum-type')?.toUpperCase() ?? 'COMPOSITE';
  if (name === undefined) {
    if (header(request, 'x-amz-checksum-type') === undefined) return undefined;
    throw s3Error('InvalidRequest', {
      message: 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    });
  }
  const algorithm = checksumAlgorithm(name);
  if (type !== 'COMPOSITE' && type !== 'FULL_OBJECT') {
    throw s3Error('InvalidRequest', { message: 'Value for x-amz-checksum-type header is invalid.' });
  }
  if (!supportsType(algorithm, type)) {
    throw s3Error('InvalidRequest', {
      message: `The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    });
  }
  return { algorithm, type };
}

export const uploadPart: Operation = async (call) => {
  const { store, request } = call;
  const number = partNumberOf(call);
  const upload = openUploadOf(call);
  const given = checksumOf(request)?.algorithm ?? header(request, 'x-amz-trailer')?.slice('x-amz-checksum-'.length);
  checkPartAlgorithm(upload.checksum, given?.toUpperCase());
  await using received = await call.readFile({ checksum: upload.checksum?.algorithm });
  const { md5, checksum } = received.payload;
  const etag = etagOf(md5);
  store.uploads.putPart(upload, received.staged, { number, etag, checksum: checksum?.value });
  return {
    status: 200,
    headers: { etag: `"${etag}"`, ...(checksum && { [checksumHeader(checksum.algorithm)]: checksum.value }) },
  };
};

/** A part's checksum is of the upload's algorithm; a full-object upload's parts may do without. */
function checkPartAlgorithm(upload: UploadRecord['checksum'], given: string | undefined): void {
  if (given === upload?.algorithm || (given === undefined && upload?.type === 'FULL_OBJECT')) return;
  throw s3Error('InvalidRequest', {
    message:
      'Checksum Type mismatch occurred, ' +
      `expected checksum Type: ${upload?.algorithm.toLowerCase() ?? 'null'}, ` +
      `actual checksum Type: ${given?.toLowerCase() ?? 'null'}`,
  });
}

function partNumberOf({ request }: Call): number {
  const text = request.query.get('partNumber') ?? '';
  const number = Number(text);
  if (/^\d{1,5}$/.test(text) && number >= 1 && number <= maxParts) return number;
  throw s3Error('InvalidArgument', {
    message: `Part number must be an integer between 1 and ${maxParts}, inclusive`,
    details: { ArgumentName: 'partNumber', ArgumentValue: text },
  });
}

const uploadIdOf = ({ request }: Call): string => request.query.get('uploadId') ?? '';
export const openUploadOf = (call: Call): UploadRecord =>
  call.store.uploads.findOpen(call.bucket, call.key, uploadIdOf(call));

export const abortMultipartUpload: Operation = (call) =>
  // A Complete that is under way decides first which of the two it was.
  call.store.uploads.exclusively(uploadIdOf(call), async () => {
    call.store.uploads.abort(openUploadOf(call));
    return { status: 204 };
  });

export const completeMultipartUpload: Operation = async (call) => {
  const listed = parseCompletedParts(await call.readText({ checksumIsOfObject: true }));
  return call.store.uploads.exclusively(uploadIdOf(call), () => complete(call, listed));
};

async function complete(call: Call, listed: readonly CompletedPart[]): Promise<Answer> {
  const { store, bucket, key } = call;
  const upload = store.uploads.find(bucket, key, uploadIdOf(call));
  if (upload.completedAs !== undefined) return repeatedComplete(call, upload);
  const conditions = { onlyIfAbsent: onlyIfAbsent(call) };
  using write = store.beginWrite(bucket, key);
  const parts = selectParts(listed, store.uploads.parts(upload.id), upload.checksum);
  checkObjectSize(call, parts);
  const checksum = upload.checksum && objectChecksum(call, upload.checksum, parts);
  // A refusal leaves the upload open: the client aborts it.
  if (conditions.onlyIfAbsent && store.object(bucket, key) !== undefined) throw preconditionFailed();
  await using staged = await store.uploads.assemble(upload, parts);
  const etag = `${etagOfParts(parts)}-${parts.length}`;
  store.putObject(write, staged, { etag, headers: upload.headers, checksum }, conditions);
  store.uploads.completed(upload, etag);
  return completeAnswer(call, etag);
}

/** The same Complete again, because its answer was lost: it succeeds again, whatever its conditions. */
function repeatedComplete(call: Call, upload: UploadRecord): Answer {
  const object = call.store.object(call.bucket, call.key);
  if (object === undefined || object.etag !== upload.completedAs)
    throw s3Error('NoSuchUpload', { details: { UploadId: upload.id } });
  return completeAnswer(call, object.etag);
}

function completeAnswer({ store, bucket, key, request }: Call, etag: string): Answer {
  const object = store.object(bucket, key);
  const checksum = object?.checksum;
  return {
    status: 200,
    headers: encryptionHeaders(object?.headers ?? {}),
    body: xmlDocument('CompleteMultipartUploadResult', {
      Location: `http://${header(request, 'host')}/${bucket}/${encodeURI(key)}`,
      Bucket: bucket,
      Key: key,
      ETag: `"${etag}"`,
      ...(checksum && { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: checksum.type }),
    }),
  };
}

/** MD5 of the parts' MD5s, as everybody knows S3 to do it. */
function etagOfParts(parts: readonly PartRecord[]): string {
  const hash = createHash('md5');
  for (const { etag } of parts) hash.update(Buffer.from(etag, 'hex'));
  return hash.digest('hex');
}

function checkObjectSize({ request }: Call, parts: readonly PartRecord[]): void {
  const expected = header(request, 'x-amz-mp-object-size');
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (expected === undefined || expected === String(size)) return;
  throw s3Error('InvalidRequest', {
    message: `The provided 'x-amz-mp-object-size' header value ${expected} does not match what was computed: ${size}`,
  });
}

function objectChecksum(
  { request }: Call,
  { algorithm, type }: { readonly algorithm: ChecksumAlgorithm; readonly type: ChecksumType },
  parts: readonly PartRecord[],
) {
  const asked = header(request, 'x-amz-checksum-type')?.toUpperCase();
  if (asked !== undefined && asked !== type) {
    throw s3Error('InvalidRequest', {
      message: `The upload was created using the ${type} checksum mode. The complete request must use the same checksum mode.`,
    });
  }
  const sums = parts.map(({ checksum, size }) => ({ checksum: checksum ?? '', size }));
  const value = checksumOfParts(algorithm, type, sums);
  const given = header(request, checksumHeader(algorithm));
  if (given !== undefined && given !== value) {
    throw s3Error('BadDigest', {
      message: `The ${algorithm.toLowerCase()} you specified did not match the calculated checksum.`,
    });
  }
  return { algorithm, type, value };
}
