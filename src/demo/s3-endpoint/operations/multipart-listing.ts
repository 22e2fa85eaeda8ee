import { numberOf, type Operation } from '../call.ts';
import { s3Error } from '../s3-error.ts';
import { xmlDocument } from '../xml.ts';
import { maxParts, openUploadOf } from './multipart.ts';

export const listParts: Operation = (call) => {
  const upload = openUploadOf(call);
  const limit = numberOf(call, 'max-parts', { min: 0, max: 1000, usual: 1000 });
  const marker = numberOf(call, 'part-number-marker', { min: 0, max: maxParts, usual: 0 });
  const later = call.store.uploads.parts(upload.id).filter(({ number }) => number > marker);
  const page = later.slice(0, limit);
  const sum = upload.checksum && `Checksum${upload.checksum.algorithm}`;
  return {
    status: 200,
    body: xmlDocument('ListPartsResult', {
      Bucket: call.bucket,
      Key: call.key,
      UploadId: upload.id,
      PartNumberMarker: marker,
      NextPartNumberMarker: page.at(-1)?.number ?? marker,
      MaxParts: limit,
      IsTruncated: later.length > page.length,
      ChecksumAlgorithm: upload.checksum?.algorithm,
      ChecksumType: upload.checksum?.type,
      Part: page.map(({ number, size, etag, modifiedMs, checksum }) => ({
        PartNumber: number,
        LastModified: new Date(modifiedMs).toISOString(),
        ETag: `"${etag}"`,
        Size: size,
        ...(sum === undefined ? {} : { [sum]: checksum }),
      })),
    }),
  };
};

export const listMultipartUploads: Operation = (call) => {
  const { query } = call.request;
  if (query.get('delimiter')) throw s3Error('NotImplemented', { message: 'A delimiter is not implemented here' });
  const limit = numberOf(call, 'max-uploads', { min: 1, max: 1000, usual: 1000 });
  const prefix = query.get('prefix') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker') ?? '';
  const later = call.store.uploads
    .open(call.bucket, keyMarker)
    .filter(
      ({ key, id }) =>
        key.startsWith(prefix) && (key !== keyMarker || keyMarker === '' || (idMarker !== '' && id > idMarker)),
    );
  const page = later.slice(0, limit);
  const next = later.length > page.length ? page.at(-1) : undefined;
  return {
    status: 200,
    body: xmlDocument('ListMultipartUploadsResult', {
      Bucket: call.bucket,
      KeyMarker: keyMarker,
      UploadIdMarker: idMarker,
      NextKeyMarker: next?.key,
      NextUploadIdMarker: next?.id,
      Prefix: prefix,
      MaxUploads: limit,
      IsTruncated: next !== undefined,
      Upload: page.map(({ key, id, startedMs, checksum }) => ({
        Key: key,
        UploadId: id,
        StorageClass: 'STANDARD',
        Initiated: new Date(startedMs).toISOString(),
        ChecksumAlgorithm: checksum?.algorithm,
        ChecksumType: checksum?.type,
      })),
    }),
  };
};
