import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGuide, root } from '../support/guides.ts';

/** docs/guarantees.md names tests that are there: a guarantee whose test was renamed or removed is none. */

const page = 'docs/guarantees.md';
const [, ...sections] = readFileSync(root + page, 'utf8').split(/^## /m);
const guarantees = sections.filter((text) => !text.startsWith("What can't be promised"));
const tests = guarantees.flatMap((text) => [...text.matchAll(/^- \[(.+)\]\(\.\.\/(.+)\): "(.+)"$/gm)]);

test.each(guarantees.map((text) => [text.split('\n', 1)[0], text]))('%s: is held by a test', (_title, text) => {
  const named = text.split('\n').filter((line) => line.startsWith('- '));
  expect(named.length).toBeGreaterThan(0);
  for (const line of named) expect(line).toMatch(/^- \[(.+)\]\(\.\.\/\1\): ".+"$/);
});

describe.each(tests.map(([, , file = '', name = '']) => [file, name]))('%s', (file, name) => {
  test(name, () => {
    expect(readFileSync(join(root, file), 'utf8')).toContain(name);
  });
});

test('the README leads there', () => {
  expect(readGuide('README.md').links).toContain(page);
});
