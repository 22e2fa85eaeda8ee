import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readPassword } from '../../../src/ledger/password-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'dropledger-password-'));
const file = join(directory, 'password');
afterAll(() => rmSync(directory, { recursive: true }));

function write(text: string, mode: number): void {
  rmSync(file, { force: true }); // One that is read-only could not be written again, but by root.
  writeFileSync(file, text);
  chmodSync(file, mode);
}

test.each([0o400, 0o600, 0o440, 0o640])('mode %o is private enough', async (mode) => {
  write('s p a c e ', mode);
  expect(await readPassword(file)).toBe('s p a c e ');
});

test.each([0o604, 0o602, 0o644])('mode %o is open to others', async (mode) => {
  write('secret', mode);
  await expect(readPassword(file)).rejects.toThrow('open to every user');
});

test.each(['secret\n', 'secret\r\n', 'secret'])('%j: the line break at the end is none of it', async (text) => {
  write(text, 0o600);
  expect(await readPassword(file)).toBe('secret');
});

test('an empty file is no password', async () => {
  write('\n', 0o600);
  await expect(readPassword(file)).rejects.toThrow('empty');
});

test('a missing file says which', async () => {
  await expect(readPassword(join(directory, 'missing'))).rejects.toThrow('missing');
});
