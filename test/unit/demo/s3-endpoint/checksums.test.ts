import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ChecksumAlgorithm, checksumOfParts, runningDigest } from '../../../../src/demo/s3-endpoint/checksums.ts';

function checksumOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): string {
  const digest = runningDigest(algorithm);
  digest.update(Buffer.from(bytes));
  return digest.digest().toString('base64');
}

test.for(['CRC32', 'CRC32C'] as const)('the %s of a whole follows from those of its parts', (algorithm) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 6 }), (contents) => {
      const parts = contents.map((bytes) => ({ checksum: checksumOf(algorithm, bytes), size: bytes.length }));
      const whole = checksumOf(algorithm, Buffer.concat(contents));
      expect(checksumOfParts(algorithm, 'FULL_OBJECT', parts)).toBe(whole);
    }),
  );
});

test('a part may be larger than 32 bits can count', () => {
  const first = { size: 1, checksum: checksumOf('CRC32', Buffer.from('x')) };
  const zeros = zerosOf(2 ** 33);
  const eighths = Array.from({ length: 8 }, () => zerosOf(2 ** 30));
  const whole = (parts: readonly (typeof first)[]) => checksumOfParts('CRC32', 'FULL_OBJECT', parts);
  expect(whole([first, zeros])).toBe(whole([first, ...eighths]));
});

/** By doubling: there is no hashing 8 GiB in a unit test. */
function zerosOf(size: number) {
  let part = { size: 1, checksum: checksumOf('CRC32', Buffer.alloc(1)) };
  while (part.size < size) {
    part = { size: part.size * 2, checksum: checksumOfParts('CRC32', 'FULL_OBJECT', [part, part]) };
  }
  return part;
}

test('the check values of the algorithms', () => {
  const digits = Buffer.from('123456789');
  expect(Buffer.from(checksumOf('CRC32', digits), 'base64').toString('hex')).toBe('cbf43926');
  expect(Buffer.from(checksumOf('CRC32C', digits), 'base64').toString('hex')).toBe('e3069283');
});
