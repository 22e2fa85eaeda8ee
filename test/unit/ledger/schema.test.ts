import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { completeScript } from '../../../src/ledger/migrate.ts';
import { programVersion } from '../../../src/ledger/schema.ts';

test('the program is made for the last migration, and none is missing in between', () => {
  const numbers = readdirSync(new URL('../../../src/ledger/migrations', import.meta.url))
    .map((file) => /^(\d{4})-.*\.sql$/.exec(file)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: programVersion }, (_, index) => index + 1));
});

test('the script for those without a login stands in transactions', () => {
  const script = completeScript();
  expect(script.match(/^BEGIN;$/gm)).toHaveLength(programVersion + 1);
  expect(script.match(/^COMMIT;$/gm)).toHaveLength(programVersion + 1);
  expect(script).toContain('CREATE TABLE dropledger.uploads');
});
