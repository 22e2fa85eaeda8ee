import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type Behaviours, outcomes, rawOutcome } from './behaviour.ts';
import { framePlain } from './chunked-body.ts';
import { mebibyte, type Probe } from './probe.ts';

const badDigest = { status: 400, code: 'BadDigest' };
const invalidRequest = { status: 400, code: 'InvalidRequest' };

const crc32Base64 = (data: string | Buffer): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(data));
  return bytes.toString('base64');
};
const base64 = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('base64');

/** CRC32C of `hello`, from the reference of RFC 3720's polynomial. */
const crc32cOfHello = 'mnG7TA==';

async function putOutcome(probe: Probe, headers: Record<string, string>, body = 'hello') {
  const answer = await probe.rawObject('PUT', probe.key('a'), { body, headers });
  const confirmed = Object.keys(headers).filter((name) => answer.headers[name] === headers[name]);
  return answer.code === undefined
    ? { status: answer.status, confirmed }
    : { status: answer.status, code: answer.code };
}

/** What the client says of its bytes: verified, and confirmed in the answer. */
export const checksumBehaviours: Behaviours = {
  'a Content-MD5 that is wrong is refused': {
    s3: badDigest,
    observe: (probe) => putOutcome(probe, { 'content-md5': base64('md5', 'other') }),
  },
  'a Content-MD5 that is none is refused': {
    s3: { status: 400, code: 'InvalidDigest' },
    observe: (probe) => putOutcome(probe, { 'content-md5': 'bm9uZQ==' }),
  },
  'a right CRC32 is confirmed': {
    s3: { status: 200, confirmed: ['x-amz-checksum-crc32'] },
    observe: (probe) => putOutcome(probe, { 'x-amz-checksum-crc32': crc32Base64('hello') }),
  },
  'a wrong CRC32 is refused, and nothing is stored': {
    s3: { put: badDigest, keys: [] },
    observe: async (probe) => ({
      put: await putOutcome(probe, { 'x-amz-checksum-crc32': crc32Base64('other') }),
      keys: await probe.keys(),
    }),
  },
  'a CRC32 that is none is refused': {
    s3: invalidRequest,
    observe: (probe) => putOutcome(probe, { 'x-amz-checksum-crc32': 'none' }),
  },
  'CRC32C, SHA-1 and SHA-256 are verified as well': {
    s3: {
      crc32c: { status: 200, confirmed: ['x-amz-checksum-crc32c'] },
      sha1: { status: 200, confirmed: ['x-amz-checksum-sha1'] },
      sha256: { status: 200, confirmed: ['x-amz-checksum-sha256'] },
      wrong: [badDigest, badDigest, badDigest],
    },
    observe: async (probe) => ({
      crc32c: await putOutcome(probe, { 'x-amz-checksum-crc32c': crc32cOfHello }),
      sha1: await putOutcome(probe, { 'x-amz-checksum-sha1': base64('sha1', 'hello') }),
      sha256: await putOutcome(probe, { 'x-amz-checksum-sha256': base64('sha256', 'hello') }),
      wrong: [
        await putOutcome(probe, { 'x-amz-checksum-crc32c': crc32Base64('other') }),
        await putOutcome(probe, { 'x-amz-checksum-sha1': base64('sha1', 'other') }),
        await putOutcome(probe, { 'x-amz-checksum-sha256': base64('sha256', 'other') }),
      ],
    }),
  },
  'two checksums at once are refused': {
    s3: invalidRequest,
    observe: (probe) =>
      putOutcome(probe, {
        'x-amz-checksum-crc32': crc32Base64('hello'),
        'x-amz-checksum-sha256': base64('sha256', 'hello'),
      }),
  },
  'a checksum that was announced must come': {
    s3: invalidRequest,
    observe: (probe) => putOutcome(probe, { 'x-amz-sdk-checksum-algorithm': 'CRC32' }),
  },
  'a checksum in the trailer is verified': {
    s3: { right: { status: 200 }, wrong: badDigest, text: 'hello' },
    async observe(probe) {
      const put = (name: string, sumOf: string) => () => {
        const trailer = ['x-amz-checksum-crc32', crc32Base64(sumOf)] as const;
        return rawOutcome(probe.rawObject('PUT', probe.key(name), framePlain('hello', { trailer })));
      };
      const all = await outcomes({ right: put('a', 'hello'), wrong: put('b', 'other') });
      return { ...all, text: all['right']?.status === 200 ? await probe.text(probe.key('a')) : undefined };
    },
  },
  'a trailer that was announced must come': {
    s3: { status: 400, code: 'MalformedTrailerError' },
    observe(probe) {
      const { headers, frame } = framePlain('hello', { trailer: ['x-amz-checksum-crc32', 'AAAAAA=='] });
      const without = framePlain('hello', { trailer: undefined });
      return rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          headers: { ...headers, 'content-length': without.headers?.['content-length'] ?? '' },
          frame: (request) => (frame && without.frame ? without.frame(request) : Buffer.alloc(0)),
        }),
      );
    },
  },
  'the checksum is told on request': {
    s3: { checksum: crc32Base64('hello'), type: 'FULL_OBJECT' },
    async observe(probe) {
      await putOutcome(probe, { 'x-amz-checksum-crc32': crc32Base64('hello') });
      const { headers } = await probe.rawObject('HEAD', probe.key('a'), {
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
      });
      return { checksum: headers['x-amz-checksum-crc32'], type: headers['x-amz-checksum-type'] };
    },
  },
  'a multipart object has the CRC32 of all its bytes': {
    s3: { right: { checksum: crc32Base64(twoParts().whole), type: 'FULL_OBJECT' }, wrong: badDigest },
    async observe(probe) {
      const upload = await fullObjectUpload(probe);
      const wrong = await rawOutcome(upload.complete({ 'x-amz-checksum-crc32': crc32Base64('other') }));
      if (wrong.status === 200) return { wrong };
      const { text } = await upload.complete({ 'x-amz-checksum-crc32': crc32Base64(twoParts().whole) });
      const element = (name: string) => new RegExp(`<${name}>([^<]*)`).exec(text)?.[1];
      return { right: { checksum: element('ChecksumCRC32'), type: element('ChecksumType') }, wrong };
    },
  },
  'a multipart object of another size than was said is refused': {
    s3: { wrong: invalidRequest, right: { status: 200 } },
    async observe(probe) {
      const upload = await fullObjectUpload(probe);
      const complete = (size: number) => () => rawOutcome(upload.complete({ 'x-amz-mp-object-size': String(size) }));
      return outcomes({ wrong: complete(1), right: complete(twoParts().whole.length) });
    },
  },
  'a composite checksum is that of the parts’ checksums': {
    s3: { checksum: `${compositeOfTwo()}-2`, type: 'COMPOSITE' },
    async observe(probe) {
      const { first, second } = twoParts();
      const upload = await probe.startUpload(probe.key('a'), { ChecksumAlgorithm: 'CRC32' });
      const parts = [
        await upload.part(1, first, { ChecksumCRC32: crc32Base64(first) }),
        await upload.part(2, second, { ChecksumCRC32: crc32Base64(second) }),
      ];
      const { ChecksumCRC32, ChecksumType } = await upload.complete(parts);
      return { checksum: ChecksumCRC32, type: ChecksumType };
    },
  },
  'a part with a wrong CRC32 is refused': {
    s3: badDigest,
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'), { ChecksumAlgorithm: 'CRC32' });
      return rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          query: { partNumber: '1', uploadId: upload.id },
          headers: { 'x-amz-checksum-crc32': crc32Base64('other') },
          body: 'hello',
        }),
      );
    },
  },
  'a part with a checksum of another kind than the upload’s is refused': {
    s3: invalidRequest,
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'), { ChecksumAlgorithm: 'CRC32' });
      return rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          query: { partNumber: '1', uploadId: upload.id },
          headers: { 'x-amz-checksum-sha256': base64('sha256', 'hello') },
          body: 'hello',
        }),
      );
    },
  },
  'SHA-256 can’t cover a whole multipart object': {
    s3: invalidRequest,
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('POST', probe.key('a'), {
          query: { uploads: '' },
          headers: { 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' },
        }),
      ),
  },
};

function twoParts() {
  const first = Buffer.alloc(5 * mebibyte, 'first part ');
  const second = Buffer.from('second part');
  return { first, second, whole: Buffer.concat([first, second]) };
}

function compositeOfTwo(): string {
  const { first, second } = twoParts();
  return crc32Base64(Buffer.concat([first, second].map((part) => Buffer.from(crc32Base64(part), 'base64'))));
}

/** Both parts are there; `complete` is raw, because the SDK leaves out what a server does not answer. */
async function fullObjectUpload(probe: Probe) {
  const { first, second } = twoParts();
  const upload = await probe.startUpload(probe.key('a'), { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
  const parts = [
    await upload.part(1, first, { ChecksumCRC32: crc32Base64(first) }),
    await upload.part(2, second, { ChecksumCRC32: crc32Base64(second) }),
  ];
  const list = parts.map(
    ({ PartNumber, ETag }) => `<Part><PartNumber>${PartNumber}</PartNumber><ETag>${ETag}</ETag></Part>`,
  );
  return {
    complete: (headers: Record<string, string>) =>
      probe.rawObject('POST', probe.key('a'), {
        query: { uploadId: upload.id },
        headers: { 'x-amz-checksum-type': 'FULL_OBJECT', ...headers },
        body: `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`,
      }),
  };
}
