import type { Difference } from '../support/s3-conformance.ts';

const ignored = { status: 200, confirmed: [] };
const noSts = { status: 405, code: 'MethodNotAllowed' };
const noSuchUpload = { status: 404, code: 'NoSuchUpload' };

/** What Ceph's gateway 16.2, Debian 12's, does otherwise than S3; each is asserted. */
export const cephDifferences: readonly Difference[] = [
  {
    test: 'an x-amz header that is not signed is refused',
    instead: { status: 200 },
    why: 'it verifies the headers that the client chose to sign, and takes the others as they are',
  },
  {
    test: 'a signature for another region is refused, and names the right one',
    instead: { status: 200 },
    why: 'it knows no regions: whatever was signed is right',
  },
  {
    test: 'a session token beside a key that has none is refused',
    instead: { status: 200 },
    why: 'a permanent key is looked up first, and then the token does not matter',
  },
  {
    test: 'a payload hash that is none is refused',
    instead: { status: 400, code: 'XAmzContentSHA256Mismatch' },
    why: 'it compares, and never looks at the form',
  },
  {
    test: 'a missing payload hash is refused',
    instead: { status: 403, code: 'SignatureDoesNotMatch' },
    why: 'it takes the hash of nothing in its place',
  },
  {
    test: 'a chunk below 8 KiB before the last is refused',
    instead: { status: 200 },
    why: 'it takes chunks of any size',
  },
  {
    test: 'a chunked body that stops early is refused',
    instead: { status: 400, code: 'XAmzContentSHA256Mismatch' },
    why: 'it does not know the framing without signatures, and hashes it as content',
  },
  {
    test: 'write-only credentials list no buckets',
    instead: { status: 200 },
    why: 'every user may list its own buckets: none',
  },
  {
    test: 'GetCallerIdentity names the caller, whatever the rights',
    instead: { owner: noSts, writeOnly: noSts },
    why: 'its STS can assume roles and no more',
  },
  { test: 'GetCallerIdentity refuses a wrong secret', instead: noSts, why: 'its STS can assume roles and no more' },
  {
    test: 'a key may have 1,024 bytes and no more',
    instead: { longest: { status: 200 }, longer: { status: 400, code: 'InvalidObjectName' } },
    why: 'the limit is the same, the code its own',
  },
  {
    test: 'metadata may have 2 KB and no more',
    instead: { most: { status: 200 }, more: { status: 200 } },
    why: 'it limits each header, not their sum',
  },
  {
    test: 'buckets are made, found, listed, located, and removed when they are empty',
    instead: {
      created: { status: 200 },
      head: { status: 200 },
      listed: true,
      location: 'default',
      full: { status: 409, code: 'BucketNotEmpty' },
      removed: { status: 204 },
      gone: { status: 404, code: 'NotFound' },
    },
    why: 'a bucket is located in a zone group, whose name is "default"',
  },
  {
    test: 'keys are percent-encoded on request',
    instead: '%2Fa%0Ab%2Bc',
    why: 'it encodes the slash as well',
  },
  {
    test: 'If-None-Match at Complete refuses what exists, and leaves the upload open',
    instead: { complete: { status: 200 }, text: 'second', partsLeft: undefined, abort: noSuchUpload },
    why: 'it ignores If-None-Match at Complete, and overwrites',
  },
  {
    test: 'a Complete that is sent again is answered as the first, conditions or not',
    instead: { again: { status: 200 }, withCondition: { status: 200 }, sameEtag: false },
    why: 'the first answer has an empty ETag, and the later ones have none',
  },
  {
    test: 'an ETag given with If-None-Match at a put is not implemented',
    instead: { status: 412, code: 'PreconditionFailed' },
    why: 'it knows ETags there, and takes an object that does not exist for one that matches',
  },
  { test: 'a right CRC32 is confirmed', instead: ignored, why: 'it ignores checksum headers' },
  {
    test: 'a wrong CRC32 is refused, and nothing is stored',
    instead: { put: ignored, keys: ['a'] },
    why: 'it ignores checksum headers',
  },
  { test: 'a CRC32 that is none is refused', instead: ignored, why: 'it ignores checksum headers' },
  {
    test: 'CRC32C, SHA-1 and SHA-256 are verified as well',
    instead: { crc32c: ignored, sha1: ignored, sha256: ignored, wrong: [ignored, ignored, ignored] },
    why: 'it ignores checksum headers',
  },
  { test: 'two checksums at once are refused', instead: ignored, why: 'it ignores checksum headers' },
  { test: 'a checksum that was announced must come', instead: ignored, why: 'it ignores checksum headers' },
  {
    test: 'a checksum in the trailer is verified',
    instead: {
      right: { status: 400, code: 'XAmzContentSHA256Mismatch' },
      wrong: { status: 400, code: 'XAmzContentSHA256Mismatch' },
      text: undefined,
    },
    why: 'it does not know bodies with trailers',
  },
  {
    test: 'a trailer that was announced must come',
    instead: { status: 400, code: 'XAmzContentSHA256Mismatch' },
    why: 'it does not know bodies with trailers',
  },
  {
    test: 'the checksum is told on request',
    instead: { checksum: undefined, type: undefined },
    why: 'it keeps no checksums',
  },
  {
    test: 'a multipart object has the CRC32 of all its bytes',
    instead: { wrong: { status: 200 } },
    why: 'it ignores the checksum at Complete, a wrong one too',
  },
  {
    test: 'a multipart object of another size than was said is refused',
    instead: { wrong: { status: 200 }, right: { status: 200 } },
    why: 'it ignores x-amz-mp-object-size',
  },
  {
    test: 'a composite checksum is that of the parts’ checksums',
    instead: { checksum: undefined, type: undefined },
    why: 'it keeps no checksums',
  },
  { test: 'a part with a wrong CRC32 is refused', instead: { status: 200 }, why: 'it ignores checksum headers' },
  {
    test: 'a part with a checksum of another kind than the upload’s is refused',
    instead: { status: 200 },
    why: 'it ignores checksum headers',
  },
  {
    test: 'SHA-256 can’t cover a whole multipart object',
    instead: { status: 200 },
    why: 'it ignores checksum headers',
  },
  {
    test: 'parts become one object, with the type and metadata of the start',
    instead: {
      etag: '',
      head: { ContentLength: 5 * 1024 * 1024 + 3, ContentType: 'image/png', Metadata: { origin: 'camera' } },
      end: 'xend',
    },
    why: 'the ETag in the answer to Complete is empty; HEAD tells it',
  },
  {
    test: 'an upload that was never started is unknown to part, Complete and abort',
    instead: {
      part: noSuchUpload,
      complete: { status: 500, code: 'InternalError' },
      abort: noSuchUpload,
      list: { status: 404, code: 'NoSuchKey' },
    },
    why: 'it has other codes for the same at Complete and ListParts',
  },
  {
    test: 'parts out of order are refused',
    instead: { status: 200 },
    why: 'it sorts the list itself',
  },
  {
    test: 'a part number is between 1 and 10,000',
    instead: { least: { status: 200 }, most: { status: 200 }, less: { status: 200 }, more: { status: 200 } },
    why: 'it takes any number',
  },
  {
    test: 'parts that Complete does not list are left out',
    instead: { complete: { status: 400, code: 'InvalidPart' }, keys: [], text: undefined },
    why: 'it wants every part listed that was stored',
  },
];
