import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
} from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { type Behaviours, outcome, outcomes, rawOutcome } from './behaviour.ts';
import { base64Md5, md5Hex, type Probe } from './probe.ts';

const awkwardNames = [
  ...[...' !"#$%&\'()*+,:;<=>?@[\\]^`{|}~'].map((character) => `a${character}b`),
  ...['nfc-\u00e9', 'nfd-e\u0301', '📷.jpg', '%2F', '-rf', 'new\nline', 'n'.repeat(300), '\uffee'],
];

const folderLikeNames = ['a', 'a/b', 'a/b/c', 'a/', 'a//b', 'a/../b', '../a', './a', '//a', ''];

/** Objects one by one: bytes, names, what is said of them. */
export const objectBehaviours: Behaviours = {
  'an object comes back byte for byte, with its type and metadata': {
    s3: { text: 'hellö', type: 'text/plain', metadata: { origin: 'camera 1' }, length: 6 },
    async observe(probe) {
      const Key = probe.key('a.txt');
      await probe.put(Key, 'hellö', { ContentType: 'text/plain', Metadata: { origin: 'camera 1' } });
      const head = await probe.s3.send(new HeadObjectCommand({ Bucket: probe.bucket, Key }));
      return {
        text: await probe.text(Key),
        type: head.ContentType,
        metadata: head.Metadata,
        length: head.ContentLength,
      };
    },
  },
  'an object without a type is binary/octet-stream': {
    s3: 'binary/octet-stream',
    async observe(probe) {
      await probe.rawObject('PUT', probe.key('a'), { body: 'x' });
      return (await probe.rawObject('HEAD', probe.key('a'))).headers['content-type'];
    },
  },
  'an empty object is an object': {
    s3: { text: '', length: 0 },
    async observe(probe) {
      const Key = probe.key('empty');
      await probe.put(Key, '');
      const { ContentLength } = await probe.s3.send(new HeadObjectCommand({ Bucket: probe.bucket, Key }));
      return { text: await probe.text(Key), length: ContentLength };
    },
  },
  'the ETag of a put is the MD5 of its bytes': {
    s3: `"${md5Hex('hello')}"`,
    observe: async (probe) => (await probe.put(probe.key('a'), 'hello')).ETag,
  },
  'a second put replaces the first': {
    s3: 'second',
    async observe(probe) {
      await probe.put(probe.key('a'), 'first');
      await probe.put(probe.key('a'), 'second');
      return probe.text(probe.key('a'));
    },
  },
  'every answer carries a request id': {
    s3: { fine: true, refused: true },
    async observe(probe) {
      const fine = await probe.rawObject('PUT', probe.key('a'), { body: 'x' });
      const refused = await probe.rawObject('PUT', probe.key('a'), { body: 'x', credentials: null });
      const hasId = (headers: typeof fine.headers) => typeof headers['x-amz-request-id'] === 'string';
      return { fine: hasId(fine.headers), refused: hasId(refused.headers) };
    },
  },
  'keys keep every character': {
    s3: inOrder(awkwardNames),
    observe: (probe) => storedNames(probe, awkwardNames),
  },
  'keys that could be folders, or lead out of them, are keys like others': {
    s3: inOrder(folderLikeNames),
    observe: (probe) => storedNames(probe, folderLikeNames),
  },
  'a key may have 1,024 bytes and no more': {
    s3: { longest: { status: 200 }, longer: { status: 400, code: 'KeyTooLongError' } },
    observe(probe) {
      const put = (bytes: number) => () => {
        const rest = bytes - Buffer.byteLength(probe.prefix) - 2;
        return rawOutcome(probe.rawObject('PUT', probe.key(`ü${'n'.repeat(rest)}`), { body: 'x' }));
      };
      return outcomes({ longest: put(1024), longer: put(1025) });
    },
  },
  'metadata may have 2 KB and no more': {
    s3: { most: { status: 200 }, more: { status: 400, code: 'MetadataTooLarge' } },
    observe: (probe) =>
      outcomes({
        most: () => rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', headers: metadata(2048) })),
        more: () => rawOutcome(probe.rawObject('PUT', probe.key('b'), { body: 'x', headers: metadata(2049) })),
      }),
  },
  'a body without a length is refused': {
    s3: { status: 411, code: 'MissingContentLength' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          body: 'x',
          without: ['content-length'],
          headers: { 'transfer-encoding': 'chunked', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
        }),
      ),
  },
  'a range of bytes is answered with 206': {
    s3: [
      { status: 206, range: 'bytes 1-3/10', text: '123' },
      { status: 206, range: 'bytes 7-9/10', text: '789' },
      { status: 206, range: 'bytes 8-9/10', text: '89' },
    ],
    async observe(probe) {
      await probe.put(probe.key('a'), '0123456789');
      const all: object[] = [];
      for (const range of ['bytes=1-3', 'bytes=7-', 'bytes=-2']) {
        const { status, headers, text } = await probe.rawObject('GET', probe.key('a'), { headers: { range } });
        all.push({ status, range: headers['content-range'], text });
      }
      return all;
    },
  },
  'a range behind the end is refused': {
    s3: { status: 416, code: 'InvalidRange' },
    async observe(probe) {
      await probe.put(probe.key('a'), '0123456789');
      return rawOutcome(probe.rawObject('GET', probe.key('a'), { headers: { range: 'bytes=10-' } }));
    },
  },
  'a key that does not exist is not found': {
    s3: { get: { status: 404, code: 'NoSuchKey' }, head: { status: 404, code: 'NotFound' }, remove: { status: 204 } },
    observe(probe) {
      const address = { Bucket: probe.bucket, Key: probe.key('nothing') };
      return outcomes({
        get: () => outcome(probe.s3.send(new GetObjectCommand(address))),
        head: () => outcome(probe.s3.send(new HeadObjectCommand(address))),
        remove: () => outcome(probe.s3.send(new DeleteObjectCommand(address))),
      });
    },
  },
  'a deleted object is gone': {
    s3: ['b'],
    async observe(probe) {
      await probe.put(probe.key('a'), 'x');
      await probe.put(probe.key('b'), 'x');
      await probe.s3.send(new DeleteObjectCommand({ Bucket: probe.bucket, Key: probe.key('a') }));
      return probe.keys();
    },
  },
  'many objects are deleted at once': {
    s3: { deleted: ['a', 'b/<&>', 'nothing'], left: ['c'] },
    async observe(probe) {
      for (const name of ['a', 'b/<&>', 'c']) await probe.put(probe.key(name), 'x');
      const Objects = ['a', 'b/<&>', 'nothing'].map((name) => ({ Key: probe.key(name) }));
      const body = `<Delete>${Objects.map(({ Key }) => `<Object><Key>${escapeXml(Key)}</Key></Object>`).join('')}</Delete>`;
      const { text } = await probe.raw({
        method: 'POST',
        path: `/${probe.bucket}`,
        query: { delete: '' },
        headers: { 'content-md5': base64Md5(body) },
        body,
      });
      const deleted = [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => unescapeXml(key));
      return { deleted: deleted.map((key) => key.slice(probe.prefix.length)).sort(), left: await probe.keys() };
    },
  },
  'the SDK deletes many objects at once': {
    s3: [],
    async observe(probe) {
      await probe.put(probe.key('a'), 'x');
      const Delete = { Objects: [{ Key: probe.key('a') }], Quiet: true };
      await probe.s3.send(new DeleteObjectsCommand({ Bucket: probe.bucket, Delete }));
      return probe.keys();
    },
  },
  'buckets are made, found, listed, located, and removed when they are empty': {
    s3: {
      created: { status: 200 },
      head: { status: 200 },
      listed: true,
      location: undefined,
      full: { status: 409, code: 'BucketNotEmpty' },
      removed: { status: 204 },
      gone: { status: 404, code: 'NotFound' },
    },
    async observe(probe) {
      const Bucket = `bucket-${probe.prefix.slice(0, -1)}`;
      const { s3 } = probe;
      const created = await outcome(s3.send(new CreateBucketCommand({ Bucket })));
      const head = await outcome(s3.send(new HeadBucketCommand({ Bucket })));
      const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
      const { LocationConstraint: location } = await s3.send(new GetBucketLocationCommand({ Bucket }));
      await probe.put('a', 'x', { Bucket });
      const full = await outcome(s3.send(new DeleteBucketCommand({ Bucket })));
      await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }));
      const removed = await outcome(s3.send(new DeleteBucketCommand({ Bucket })));
      const gone = await outcome(s3.send(new HeadBucketCommand({ Bucket })));
      const listed = Buckets.some(({ Name }) => Name === Bucket);
      return { created, head, listed, location, full, removed, gone };
    },
  },
};

/** Stores an object under each name, holding that name; the keys that are there afterwards. */
async function storedNames(probe: Probe, names: readonly string[]): Promise<string[]> {
  for (const name of names) await probe.put(probe.key(name), name);
  for (const name of names) expect(await probe.text(probe.key(name))).toBe(name);
  return probe.keys();
}

/** As S3 sorts: by the bytes of UTF-8. */
function inOrder(names: readonly string[]): string[] {
  return [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

const metadata = (bytes: number) => ({ 'x-amz-meta-a': 'v'.repeat(bytes - 'a'.length) });

const escapeXml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const unescapeXml = (text: string) => text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
