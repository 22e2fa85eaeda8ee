import picomatch from 'picomatch';
import { expect, test } from 'vitest';
import { choosePaths } from '../../../src/ledger/path-glob.ts';

const paths = ['a', 'a.pdf', 'b.txt', 'x/a.pdf', 'x/y/a.pdf', 'x/y/z/b.pdf', 'a+b.pdf', 'a,b', 'ab.pdf', 'é.pdf'];

const chosen = (glob: string) => {
  const choice = choosePaths(glob);
  if (choice.kind === 'path') return paths.filter((path) => path === choice.path);
  const pattern = new RegExp(choice.pattern, 's');
  return paths.filter((path) => path.startsWith(choice.prefix) && pattern.test(path));
};

test.each([
  '*',
  '*.pdf',
  '**/*.pdf',
  'x/*.pdf',
  'x/**',
  'x/**/b.pdf',
  '?.pdf',
  'a?b.pdf',
  '[ab].*',
  '[^a]*.pdf',
  '{a,b}.*',
  '*.{pdf,txt}',
  'a+b.*',
  '**',
  'a,*',
])('%s chooses what it does elsewhere', (glob) => {
  const matches = picomatch(glob, { dot: true });
  expect(chosen(glob)).toEqual(paths.filter((path) => matches(path)));
  expect(chosen(glob)).not.toEqual([]);
});

test('both ways to negate', () => {
  expect(chosen('[!a]*.pdf')).toEqual(['é.pdf']);
});

test('a folder means all below it', () => {
  expect(chosen('x/')).toEqual(['x/a.pdf', 'x/y/a.pdf', 'x/y/z/b.pdf']);
});

test('what stands in the ledger can be pasted: a path without a star is that path', () => {
  expect(choosePaths('a\\\\b \\xFF')).toEqual({ kind: 'path', path: 'a\\\\b \\xFF' });
  expect(choosePaths('a\\xFF*')).toEqual({ kind: 'pattern', prefix: 'a\\xFF', pattern: '^a\\\\xFF[^/]*$' });
  expect(choosePaths('a[*]b*')).toMatchObject({ prefix: 'a', pattern: '^a[\\*]b[^/]*$' });
});

test('what stands before the first star is looked up by the index', () => {
  expect(choosePaths('invoices/2026/*.pdf')).toMatchObject({ prefix: 'invoices/2026/' });
});
