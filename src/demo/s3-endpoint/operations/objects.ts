import { randomBytes } from 'node:crypto';
import { type Answer, type Call, type Operation, onlyIfAbsent } from '../call.ts';
import { header } from '../request.ts';
import { S3Error, s3Error } from '../s3-error.ts';
import { preconditionFailed } from '../store/object-store.ts';
import { childText, parseXml, xmlDocument } from '../xml.ts';
import { checksumHeaders, describedHeaders, encryptionHeaders } from './object-headers.ts';

const maxKeyBytes = 1024;

/** Throws KeyTooLongError. */
export function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes <= maxKeyBytes) return;
  throw s3Error('KeyTooLongError', { details: { Size: String(bytes), MaxSizeAllowed: String(maxKeyBytes) } });
}

/** Hex, from the MD5 where there is one. */
export const etagOf = (md5: Buffer | undefined): string => (md5 ?? randomBytes(16)).toString('hex');

export const putObject: Operation = async (call) => {
  const { store, bucket, key } = call;
  checkKey(key);
  const conditions = { onlyIfAbsent: onlyIfAbsent(call) };
  const headers = describedHeaders(call);
  using write = store.beginWrite(bucket, key);
  // Known already: then the client need not send the body.
  if (conditions.onlyIfAbsent && store.object(bucket, key) !== undefined) throw preconditionFailed();
  await using received = await call.readFile({});
  const { checksum, md5 } = received.payload;
  const record = store.putObject(
    write,
    received.staged,
    { etag: etagOf(md5), headers, checksum: checksum && { ...checksum, type: 'FULL_OBJECT' } },
    conditions,
  );
  return {
    status: 200,
    headers: { etag: `"${record.etag}"`, ...checksumHeaders(record.checksum), ...encryptionHeaders(headers) },
  };
};

export const getObject: Operation = (call) => readObject(call, { withBody: true });
export const headObject: Operation = (call) => readObject(call, { withBody: false });

function readObject(call: Call, { withBody }: { withBody: boolean }): Answer {
  const { request, store, bucket, key } = call;
  const object = store.openObject(bucket, key);
  try {
    const { record } = object;
    checkReadConditions(call, record.etag);
    const range = rangeOf(header(request, 'range'), object.size);
    const { start, end } = range ?? { start: 0, end: object.size - 1 };
    const headers = {
      ...record.headers,
      etag: `"${record.etag}"`,
      'last-modified': new Date(record.modifiedMs).toUTCString(),
      'accept-ranges': 'bytes',
      'content-length': end - start + 1,
      'content-range': range && `bytes ${start}-${end}/${object.size}`,
      ...(header(request, 'x-amz-checksum-mode') === 'ENABLED' && !range ? checksumHeaders(record.checksum) : {}),
    };
    const status = range === undefined ? 200 : 206;
    if (withBody) return { status, headers, body: { object, start, end } };
    object[Symbol.dispose]();
    return { status, headers };
  } catch (error) {
    object[Symbol.dispose]();
    throw error;
  }
}

function checkReadConditions({ request }: Call, etag: string): void {
  const names = (list: string) =>
    list === '*' || list.split(',').some((each) => each.trim().replace(/^"|"$/g, '') === etag);
  const match = header(request, 'if-match');
  const noneMatch = header(request, 'if-none-match');
  if (match !== undefined && !names(match)) throw s3Error('PreconditionFailed', { details: { Condition: 'If-Match' } });
  if (noneMatch !== undefined && names(noneMatch)) throw s3Error('NotModified', { headers: { etag: `"${etag}"` } });
}

/** One range of bytes, both ends inclusive; what is not one is ignored, as RFC 9110 has it. Throws InvalidRange. */
function rangeOf(text: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first, final] = /^bytes=(\d*)-(\d*)$/.exec(text ?? '') ?? [];
  if (first === undefined || final === undefined || (first === '' && final === '')) return undefined;
  const start = first === '' ? Math.max(size - Number(final), 0) : Number(first);
  const end = first === '' || final === '' ? size - 1 : Math.min(Number(final), size - 1);
  if (final !== '' && first !== '' && Number(final) < start) return undefined;
  if (start >= size || end < start) {
    throw s3Error('InvalidRange', {
      details: { RangeRequested: text ?? '', ActualObjectSize: String(size) },
      headers: { 'content-range': `bytes */${size}` },
    });
  }
  return { start, end };
}

export const deleteObject: Operation = ({ store, bucket, key }) => {
  store.deleteObject(bucket, key);
  return { status: 204 };
};

const maxDeletes = 1000;

export const deleteObjects: Operation = async (call) => {
  const { store, bucket, request } = call;
  const verified = Object.keys(request.headers).some(
    (name) => name === 'content-md5' || name === 'x-amz-trailer' || /^x-amz-checksum-(crc|sha)/.test(name),
  );
  if (!verified) throw s3Error('InvalidRequest', { message: 'Missing required header for this request: Content-MD5' });
  const document = parseXml(await call.readText());
  const keys = document?.children.filter(({ name }) => name === 'Object').map((each) => childText(each, 'Key'));
  if (document?.name !== 'Delete' || keys === undefined || keys.length === 0 || keys.length > maxDeletes) {
    throw s3Error('MalformedXML');
  }
  const deleted: { Key: string }[] = [];
  const failed: { Key: string; Code: string; Message: string }[] = [];
  for (const key of keys) {
    if (key === undefined) throw s3Error('MalformedXML');
    try {
      store.deleteObject(bucket, key);
      deleted.push({ Key: key });
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      failed.push({ Key: key, Code: error.code, Message: error.message });
    }
  }
  const quiet = childText(document, 'Quiet') === 'true';
  return { status: 200, body: xmlDocument('DeleteResult', { Deleted: quiet ? [] : deleted, Error: failed }) };
};
