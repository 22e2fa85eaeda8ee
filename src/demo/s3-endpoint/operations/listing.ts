import { type Call, numberOf, type Operation } from '../call.ts';
import { s3Error } from '../s3-error.ts';
import type { ObjectRecord } from '../store/catalog.ts';
import { xmlDocument } from '../xml.ts';

const maxKeys = 1000;
/** Sorts behind every key that begins as it begins: no key in practice has it. */
const last = '\u{10ffff}';

interface Page {
  readonly objects: readonly { readonly key: string; readonly object: ObjectRecord }[];
  readonly commonPrefixes: readonly string[];
  /** Where the next page begins; undefined on the last. */
  readonly next: string | undefined;
  /** The last key or common prefix of this page, as ListObjects (version 1) wants it. */
  readonly lastItem: string;
}

interface PageWishes {
  readonly prefix: string;
  readonly delimiter: string;
  readonly after: string;
  readonly limit: number;
}

/** A page of keys; those that share their text up to a delimiter behind the prefix count as one common prefix. */
function readPage({ store, bucket }: Call, { prefix, delimiter, after, limit }: PageWishes): Page {
  const objects: { key: string; object: ObjectRecord }[] = [];
  const commonPrefixes: string[] = [];
  let cursor = after;
  let lastItem = '';
  const page = (next: string | undefined): Page => ({ objects, commonPrefixes, next, lastItem });
  if (limit === 0) return page(undefined);
  for (;;) {
    const rows = store.objectsFrom(bucket, { after: cursor, from: prefix, limit: maxKeys + 1 });
    let skipped = false;
    for (const { key, object } of rows) {
      if (!key.startsWith(prefix)) return page(undefined);
      if (objects.length + commonPrefixes.length === limit) return page(cursor);
      const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      if (end < 0) {
        objects.push({ key, object });
        cursor = key;
        lastItem = key;
        continue;
      }
      lastItem = key.slice(0, end + delimiter.length);
      commonPrefixes.push(lastItem);
      cursor = lastItem + last;
      skipped = true;
      break; // the rows behind it may be many of the same prefix: asked for anew
    }
    if (!skipped && rows.length <= maxKeys) return page(undefined);
  }
}

/** With `encoding-type=url` keys are percent-encoded: XML can't hold every character a key can. */
function encoderOf(call: Call): (text: string) => string {
  const type = call.request.query.get('encoding-type');
  if (type === undefined) return (text) => text;
  if (type !== 'url') throw s3Error('InvalidArgument', { message: 'Invalid Encoding Method specified in Request' });
  return (text) => encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%20', '+');
}

function contents(call: Call, page: Page, encode: (text: string) => string, withOwner: boolean) {
  return {
    Contents: page.objects.map(({ key, object }) => ({
      Key: encode(key),
      LastModified: new Date(object.modifiedMs).toISOString(),
      ETag: `"${object.etag}"`,
      ChecksumAlgorithm: object.checksum?.algorithm,
      ChecksumType: object.checksum?.type,
      Size: object.size,
      Owner: withOwner ? { ID: call.endpoint.accountId, DisplayName: 'owner' } : undefined,
      StorageClass: object.headers['x-amz-storage-class'] ?? 'STANDARD',
    })),
    CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
  };
}

function wishesOf(call: Call): Omit<PageWishes, 'after'> & { readonly maxKeysAsked: number } {
  const { query } = call.request;
  const limit = numberOf(call, 'max-keys', { min: 0, max: maxKeys, usual: maxKeys });
  return { prefix: query.get('prefix') ?? '', delimiter: query.get('delimiter') ?? '', limit, maxKeysAsked: limit };
}

export const listObjectsV2: Operation = (call) => {
  const { query } = call.request;
  const encode = encoderOf(call);
  const wishes = wishesOf(call);
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const page = readPage(call, { ...wishes, after: token === undefined ? (startAfter ?? '') : fromToken(token) });
  return {
    status: 200,
    body: xmlDocument('ListBucketResult', {
      Name: call.bucket,
      Prefix: encode(wishes.prefix),
      StartAfter: startAfter && encode(startAfter),
      ContinuationToken: token,
      NextContinuationToken: page.next === undefined ? undefined : Buffer.from(page.next).toString('base64url'),
      KeyCount: page.objects.length + page.commonPrefixes.length,
      MaxKeys: wishes.maxKeysAsked,
      Delimiter: wishes.delimiter === '' ? undefined : encode(wishes.delimiter),
      EncodingType: query.get('encoding-type'),
      IsTruncated: page.next !== undefined,
      ...contents(call, page, encode, query.get('fetch-owner') === 'true'),
    }),
  };
};

function fromToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length > 0 && bytes.toString('base64url') === token) return bytes.toString('utf8');
  throw s3Error('InvalidArgument', { message: 'The continuation token provided is incorrect' });
}

/** Version 1: goes on behind a key or common prefix; `NextMarker` is given with a delimiter alone. */
export const listObjects: Operation = (call) => {
  const { query } = call.request;
  const encode = encoderOf(call);
  const wishes = wishesOf(call);
  const marker = query.get('marker') ?? '';
  const behindPrefix = wishes.delimiter !== '' && marker.startsWith(wishes.prefix) && marker.endsWith(wishes.delimiter);
  const page = readPage(call, { ...wishes, after: behindPrefix ? marker + last : marker });
  const nextMarker = page.next !== undefined && wishes.delimiter !== '' ? encode(page.lastItem) : undefined;
  return {
    status: 200,
    body: xmlDocument('ListBucketResult', {
      Name: call.bucket,
      Prefix: encode(wishes.prefix),
      Marker: encode(marker),
      NextMarker: nextMarker,
      MaxKeys: wishes.maxKeysAsked,
      Delimiter: wishes.delimiter === '' ? undefined : encode(wishes.delimiter),
      EncodingType: query.get('encoding-type'),
      IsTruncated: page.next !== undefined,
      ...contents(call, page, encode, true),
    }),
  };
};
