import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentTypeOf } from '../../../src/s3/content-type.ts';
import { partRanges, partSizeFor } from '../../../src/s3/part-layout.ts';
import { elementText, hasElement } from '../../../src/s3/xml.ts';
import { FileRejected } from '../../../src/service/errors.ts';

const mebibyte = 2 ** 20;
const tebibyte = 2 ** 40;

describe('parts', () => {
  it('cover a file without gap, in 10,000 at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 * 2 ** 30 }), fc.integer({ min: 5, max: 64 }), (size, partMiB) => {
        const partSize = partSizeFor(size, partMiB * mebibyte);
        const ranges = [...partRanges(size, partSize)];
        expect(ranges.length).toBeLessThanOrEqual(10_000);
        expect(ranges.map(({ number }) => number)).toEqual(ranges.map((_, index) => index + 1));
        expect(ranges.reduce((end, { start, size: length }) => (start === end ? end + length : Number.NaN), 0)).toBe(
          size,
        );
      }),
      { numRuns: 30 },
    );
  });

  it('are as large as configured, and larger where they must be', () => {
    expect(partSizeFor(80 * 1000 * mebibyte, 8 * mebibyte)).toBe(8 * mebibyte);
    expect(partSizeFor(80 * 1000 * mebibyte + 1, 8 * mebibyte)).toBe(9 * mebibyte);
  });

  it('end where S3’s largest object does', () => {
    expect(partSizeFor(48 * tebibyte, 8 * mebibyte)).toBeLessThanOrEqual(5 * 2 ** 30);
    expect(() => partSizeFor(49 * tebibyte, 8 * mebibyte)).toThrow(FileRejected);
  });
});

describe('S3’s XML', () => {
  const xml =
    '<?xml version="1.0"?>\n<Error xmlns="x"><Code>No&amp;Such&#x20;Key</Code><Message>a &lt;b&gt;</Message><Empty/></Error>';
  it('is read by element', () => {
    expect(elementText(xml, 'Code')).toBe('No&Such Key');
    expect(elementText(xml, 'Message')).toBe('a <b>');
    expect(elementText(xml, 'Region')).toBeUndefined();
    expect(hasElement(xml, 'Error')).toBe(true);
    expect(hasElement(xml, 'Err')).toBe(false);
  });
});

describe('the content type', () => {
  it.each([
    ['in/a.pdf', 'application/pdf'],
    ['in/a.JPG', 'image/jpeg'],
    ['in/.pdf', 'application/octet-stream'],
    ['in/pdf', 'application/octet-stream'],
    ['in/a.unheard-of', 'application/octet-stream'],
  ])('of %s is %s', (key, type) => {
    expect(contentTypeOf(key)).toBe(type);
  });
});
