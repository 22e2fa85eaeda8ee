import { expect, test } from 'vitest';
import { createIgnoreName, createIgnoreRule } from '../../../src/drop-folder/ignore.ts';
import type { RelativePath } from '../../../src/model.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';

const defaults = [
  '.*',
  '*~',
  '*.tmp',
  '*.temp',
  '*.part',
  '*.partial',
  '*.filepart',
  '*.crdownload',
  '*.download',
  '*.swp',
];

test.each([
  ['report.pdf.tmp', '*.tmp'],
  ['a/b/c/.hidden', '.*'],
  ['a/.git/config', '.*'],
  ['.report.pdf.x8Kq2L', '.*'], // rsync's
  ['incoming.part/report.pdf', '*.part'],
  ['notes.txt~', '*~'],
  ['movie.mkv.crdownload', '*.crdownload'],
  ['new\nline.tmp', '*.tmp'],
  ['a b/ü "quoted".swp', '*.swp'],
])('%j is hidden by %s', (path, rule) => {
  expect(createIgnoreRule(defaults)(pathFromText(path))).toBe(rule);
});

test.each(['report.pdf', 'tmp', 'tmp/report', 'a.tmp.pdf', 'part.1', 'x.TMP', '-rf', '*'])(
  '%j is not hidden',
  (path) => {
    expect(createIgnoreRule(defaults)(pathFromText(path))).toBeUndefined();
  },
);

test('a name that is no UTF-8 is matched by what is', () => {
  const ignore = createIgnoreRule(['*.tmp']);
  expect(ignore('caf\xe9.tmp' as RelativePath)).toBe('*.tmp');
  expect(ignore('caf\xe9.txt' as RelativePath)).toBeUndefined();
});

test('a glob is no path, no negation, and has braces and classes', () => {
  const ignore = createIgnoreRule(['!keep', '*.{bak,old}', '[0-9]*', 'exact name']);
  const hidden = ['!keep', 'a.bak', 'x/b.old', '1st', 'exact name', 'keep', 'other'].filter(
    (path) => ignore(pathFromText(path)) !== undefined,
  );
  expect(hidden).toEqual(['!keep', 'a.bak', 'x/b.old', '1st', 'exact name']);
});

test('without rules nothing is hidden', () => {
  expect(createIgnoreRule([])(pathFromText('.hidden.tmp'))).toBeUndefined();
});

test('a glob hides the name that is its own text as well', () => {
  expect(createIgnoreName(['[draft].txt'])('[draft].txt' as RelativePath)).toBe('[draft].txt');
});
