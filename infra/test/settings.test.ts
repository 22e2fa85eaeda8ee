import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settings as example } from '../config.example.ts';
import { createStacks } from '../src/app.ts';
import { problemsIn, type Settings } from '../src/settings.ts';
import { installations, synthesise } from './support/installations.ts';

test('the example is right', () => assert.deepEqual(problemsIn(example), []));

test('every problem is told at once, by its key', () => {
  const wrong: Settings = {
    ...installations.login,
    name: 'Drop Ledger',
    account: '123',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the placeholder itself
    bucket: { ...example.bucket, prefix: 'in/${host}/', infrequentAccessAfterDays: 7, glacierAfterDays: 5 },
    ledger: { ...installations.login.ledger, backupDays: 0, proxy: true },
  };
  const { access: _none, ...withoutAccess } = wrong;
  const keys = problemsIn(withoutAccess).map((problem) => problem.split(':')[0]);
  assert.deepEqual(keys, [
    'name',
    'account',
    'bucket.prefix',
    'bucket.infrequentAccessAfterDays',
    'bucket.glacierAfterDays',
    'ledger.backupDays',
    'ledger',
    'uploader.kind "sso"',
  ]);
});

test('nothing is synthesised of wrong settings', () => {
  assert.throws(() => synthesise((app) => createStacks(app, { ...example, account: '123' })), /account: 12 digits/);
});
