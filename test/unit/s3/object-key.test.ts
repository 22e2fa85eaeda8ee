import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { conflictKey, conflictKeyById, expandPrefix, objectKey, prefixProblem } from '../../../src/s3/object-key.ts';
import { pathFromBytes, pathFromText } from '../../../src/service/path-bytes.ts';

const sha256 = 'deadbeef'.repeat(8);
const rowId = '01890a5d-ac96-774b-bcce-b302099a8057';

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((name) => name !== '.' && name !== '..' && !/[/\0]/.test(name));
const relativePath = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join('/'));

describe('objectKey', () => {
  it('is the prefix and the path, unchanged', () => {
    fc.assert(
      fc.property(relativePath, (path) => {
        expect(objectKey({ prefix: 'in/', path: pathFromText(path) })).toEqual({ key: `in/${path}` });
      }),
    );
  });

  it('rejects a name that is not UTF-8', () => {
    const path = pathFromBytes(Buffer.from([0x61, 0xff]));
    expect(objectKey({ prefix: '', path })).toMatchObject({ rejected: expect.stringContaining('UTF-8') });
  });

  it('takes 1,024 bytes and no more', () => {
    const path = (bytes: number) => pathFromText('é'.repeat(bytes / 2));
    expect(objectKey({ prefix: '1234', path: path(1020) })).toHaveProperty('key');
    expect(objectKey({ prefix: '12345', path: path(1020) })).toMatchObject({
      rejected: expect.stringContaining('1025 bytes, 1 more'),
    });
  });
});

describe.each([
  ['conflictKey', (key: string) => conflictKey(key, sha256), '~deadbeef'],
  ['conflictKeyById', (key: string) => conflictKeyById(key, rowId), `~${rowId}`],
])('%s', (_, conflict, mark) => {
  it.each([
    ['in/report.pdf', 'in/report', '.pdf'],
    ['in/backup.tar.gz', 'in/backup', '.tar.gz'],
    ['in/v1.2.gz', 'in/v1.2', '.gz'],
    ['in/.profile', 'in/.profile', ''],
    ['in/.tar.gz', 'in/.tar', '.gz'],
    ['in/name', 'in/name', ''],
    ['in.d/name', 'in.d/name', ''],
    ['ends.', 'ends.', ''],
    ['Minutes of 3. May 2026', 'Minutes of 3. May 2026', ''],
    ['a.very-long-extension', 'a.very-long-extension', ''],
  ])('of %s', (key, stem, extension) => {
    expect(conflict(key)).toBe(`${stem}${mark}${extension}`);
  });

  it('fits, is UTF-8, stays in its folder, and is another key', () => {
    const folderOf = (text: string) => text.slice(0, text.lastIndexOf('/') + 1);
    // where the folders alone take nearly all of the bytes, there is no name to cut
    const key = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 600 })
      .filter((text) => Buffer.byteLength(text) <= 1024 && Buffer.byteLength(folderOf(text)) <= 900);
    fc.assert(
      fc.property(key, (text) => {
        const other = conflict(text);
        expect(Buffer.byteLength(other)).toBeLessThanOrEqual(1024);
        expect(other.isWellFormed()).toBe(true);
        expect(other).not.toBe(text);
        expect(other).toContain(mark);
        expect(folderOf(other)).toBe(folderOf(text));
      }),
    );
  });

  it('of the longest key keeps its extension', () => {
    const other = conflict(`${'é'.repeat(510)}.pdf`);
    expect(Buffer.byteLength(other)).toBeLessThanOrEqual(1024);
    expect(other.endsWith(`${mark}.pdf`)).toBe(true);
  });
});

describe('the prefix', () => {
  it('may hold the name of the host', () => {
    expect(expandPrefix(['in/$', '{host}/'].join(''), 'web-1')).toBe('in/web-1/');
  });

  it.each(['', 'in/', 'in', 'a.b/', '...', 'ünïcödé/'])('may be %j', (prefix) => {
    expect(prefixProblem(prefix)).toBeUndefined();
  });

  it.each(['/', '/in', './', 'a/../b', '..', 'a//b', 'a\nb', '\ud800', 'x'.repeat(513)])('may not be %j', (prefix) => {
    expect(prefixProblem(prefix)).toEqual(expect.any(String));
  });
});
