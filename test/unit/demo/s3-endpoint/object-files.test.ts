import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapedPath, plainPath } from '../../../../src/demo/s3-endpoint/store/object-files.ts';

/** Keys with every way of leading somewhere else. */
const keys = fc
  .array(fc.oneof(fc.constantFrom('', '.', '..', '.escaped', 'a', 'n'.repeat(256)), fc.string({ unit: 'grapheme' })))
  .map((segments) => segments.join('/'));

test('whatever the key, its file is inside of the bucket’s folder', () => {
  fc.assert(
    fc.property(keys, (key) => {
      for (const path of [plainPath(key), escapedPath(key)]) {
        if (path !== undefined) expect(join('/bucket', path)).toMatch(/^\/bucket\/./);
      }
    }),
  );
});

test('a key that can be a path is that path', () => {
  expect(plainPath('2026/photo 1.jpg')).toBe('2026/photo 1.jpg');
  expect(plainPath('-rf/%2F/\n')).toBe('-rf/%2F/\n');
  expect(plainPath('ü'.repeat(127))).toBe('ü'.repeat(127));
});

test.for(['', '/', 'a/', '/a', 'a//b', '.', '../a', 'a/./b', '.escaped/a', 'ü'.repeat(128)])('%j is none', (key) => {
  expect(plainPath(key)).toBeUndefined();
});
