import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { s3Error } from './s3-error.ts';

/** What is asked for, by the names of the S3 API (and one of STS). */
export type OperationName =
  | 'GetCallerIdentity'
  | 'ListBuckets'
  | 'CreateBucket'
  | 'HeadBucket'
  | 'DeleteBucket'
  | 'GetBucketLocation'
  | 'ListObjects'
  | 'ListObjectsV2'
  | 'ListMultipartUploads'
  | 'DeleteObjects'
  | 'PutObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'ListParts'
  | 'NotImplemented';

export interface S3Request {
  readonly message: IncomingMessage;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Decoded, as `[name, value]`, in the order they came. */
  readonly queryPairs: readonly (readonly [string, string])[];
  readonly query: ReadonlyMap<string, string>;
  /** The decoded path, with its leading slash. */
  readonly path: string;
  /** Empty where none is named. */
  readonly bucket: string;
  readonly key: string;
  readonly operation: OperationName;
}

/** Takes a request apart. Never normalises the path: `a/../b` is a key like any other. Throws InvalidURI. */
export function parseRequest(message: IncomingMessage): S3Request {
  const target = message.url ?? '/';
  const questionMark = target.indexOf('?');
  const path = decode(questionMark < 0 ? target : target.slice(0, questionMark));
  if (!path.startsWith('/') || path.includes('\0')) throw s3Error('InvalidURI');
  const queryPairs = questionMark < 0 ? [] : parseQuery(target.slice(questionMark + 1));
  const query = new Map(queryPairs);
  const method = message.method ?? 'GET';
  const { bucket, key } = addressOf(message.headers.host ?? '', path);
  const operation = operationOf(method, bucket, key, query, message.headers);
  return { message, method, headers: message.headers, queryPairs, query, path, bucket, key, operation };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw s3Error('InvalidURI');
  }
}

function parseQuery(text: string): [string, string][] {
  if (text === '') return [];
  return text.split('&').map((pair) => {
    const equals = pair.indexOf('=');
    return equals < 0 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
  });
}

/** Path style (`/bucket/key`), or virtual-hosted style where the host is `bucket.localhost`. */
function addressOf(host: string, path: string): { bucket: string; key: string } {
  const virtual = /^(.+)\.localhost(?::\d+)?$/i.exec(host);
  if (virtual?.[1] !== undefined) return { bucket: virtual[1], key: path.slice(1) };
  const slash = path.indexOf('/', 1);
  return slash < 0 ? { bucket: path.slice(1), key: '' } : { bucket: path.slice(1, slash), key: path.slice(slash + 1) };
}

/** Query parameters that select something this endpoint does not have. */
const otherResources = new Set(
  (
    'accelerate acl analytics attributes cors encryption intelligent-tiering inventory legal-hold lifecycle logging ' +
    'metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock replication ' +
    'requestPayment restore retention select tagging torrent versionId versioning versions website X-Amz-Algorithm'
  ).split(' '),
);

function operationOf(
  method: string,
  bucket: string,
  key: string,
  query: ReadonlyMap<string, string>,
  headers: IncomingHttpHeaders,
): OperationName {
  for (const name of query.keys()) if (otherResources.has(name)) return 'NotImplemented';
  if (headers['x-amz-copy-source'] !== undefined) return 'NotImplemented';
  if (bucket === '') return serviceOperations[method] ?? 'NotImplemented';
  return (key === '' ? bucketOperation(method, query) : objectOperation(method, query)) ?? 'NotImplemented';
}

const serviceOperations: Readonly<Record<string, OperationName>> = { GET: 'ListBuckets', POST: 'GetCallerIdentity' };

function bucketOperation(method: string, query: ReadonlyMap<string, string>): OperationName | undefined {
  switch (method) {
    case 'GET':
      if (query.has('location')) return 'GetBucketLocation';
      if (query.has('uploads')) return 'ListMultipartUploads';
      return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
    case 'PUT':
      return 'CreateBucket';
    case 'HEAD':
      return 'HeadBucket';
    case 'DELETE':
      return 'DeleteBucket';
    case 'POST':
      return query.has('delete') ? 'DeleteObjects' : undefined;
    default:
      return undefined;
  }
}

function objectOperation(method: string, query: ReadonlyMap<string, string>): OperationName | undefined {
  const ofUpload = query.has('uploadId');
  switch (method) {
    case 'GET':
      return ofUpload ? 'ListParts' : 'GetObject';
    case 'PUT':
      return ofUpload ? 'UploadPart' : 'PutObject';
    case 'HEAD':
      return 'HeadObject';
    case 'DELETE':
      return ofUpload ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'POST':
      if (ofUpload) return 'CompleteMultipartUpload';
      return query.has('uploads') ? 'CreateMultipartUpload' : undefined;
    default:
      return undefined;
  }
}

/** A header's value; several of one name joined as HTTP allows. */
export function header(request: Pick<S3Request, 'headers'>, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
