import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createChunkDecoder } from '../../../../src/demo/s3-endpoint/aws-chunked.ts';

const frame = (chunks: readonly string[], trailers = '') =>
  Buffer.from(`${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n${trailers}\r\n`);

test('however the network cuts the frames, the content is the same', () => {
  const chunks = ['\r\n'.repeat(5000), '0\r\n\r\n'.repeat(2000), 'end'];
  const body = frame(chunks, 'x-amz-checksum-crc32: AAAAAA==\r\n');
  fc.assert(
    fc.property(fc.array(fc.nat(body.length), { maxLength: 40 }), (cuts) => {
      const decoder = createChunkDecoder(undefined);
      const edges = [0, ...cuts.sort((a, b) => a - b), body.length];
      const data = edges.slice(1).flatMap((end, index) => decoder.push(body.subarray(edges[index], end)));
      expect(decoder.end()).toEqual(new Map([['x-amz-checksum-crc32', 'AAAAAA==']]));
      expect(Buffer.concat(data).toString()).toBe(chunks.join(''));
    }),
  );
});

test.for([
  ['no last chunk', '3\r\nabc\r\n'],
  ['no end after the last chunk', '3\r\nabc\r\n0\r\n'],
  ['a size that is none', 'xyz\r\nabc\r\n0\r\n\r\n'],
  ['a chunk longer than it says', '2\r\nabc\r\n0\r\n\r\n'],
  ['a signature nobody asked for', `3;chunk-signature=${'0'.repeat(64)}\r\nabc\r\n0\r\n\r\n`],
  ['an endless line', `${'1'.repeat(100_000)}`],
] as const)('refuses %s', ([, body]) => {
  const decoder = createChunkDecoder(undefined);
  expect(() => {
    decoder.push(Buffer.from(body));
    decoder.end();
  }).toThrow(expect.objectContaining({ code: 'IncompleteBody' }));
});
