import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { multipartEtag } from '../../../src/s3/complete-upload.ts';
import { crc32OfJoined } from '../../../src/s3/crc32-combine.ts';

it('the CRC32 of pieces joined is that of the whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
      const parts = pieces.map((piece) => ({ crc32: crc32(piece), size: piece.length }));
      expect(crc32OfJoined(parts)).toBe(crc32(Buffer.concat(pieces)));
    }),
  );
});

it('pieces may be longer than 4 GiB', () => {
  // 8 GiB of zeros, joined by doubling a mebibyte
  let zeros = { crc32: crc32(Buffer.alloc(2 ** 20)), size: 2 ** 20 };
  while (zeros.size < 2 ** 33) zeros = { crc32: crc32OfJoined([zeros, zeros]), size: 2 * zeros.size };
  const head = { crc32: crc32('head'), size: 4 };
  const half = { crc32: 0, size: 2 ** 32 };
  // the same in one step and in two; CRC32 is linear, so the zeros' own part is added at the end
  const atOnce = crc32OfJoined([head, { crc32: 0, size: 2 ** 33 }]);
  expect(crc32OfJoined([head, half, half])).toBe(atOnce);
  expect(crc32OfJoined([head, zeros])).toBe((atOnce ^ zeros.crc32) >>> 0);
});

it('an ETag that the store left out is computed as S3 does', () => {
  const part = (number: number, etag: string) => ({ number, etag, crc32: 0, size: 1 });
  // of 5 MiB of zeros and of one more, by Python's hashlib
  const parts = [part(1, '"5f363e0e58a95f06cbe9bbc662c5dfb6"'), part(2, '"93b885adfe0da089cdf634904fd59f71"')];
  expect(multipartEtag(parts)).toBe('92f3a08aa3b1d7eb318ab9c2fc4a6ec3-2');
  expect(multipartEtag([part(1, '"not-an-md5"')])).toBeUndefined();
});
