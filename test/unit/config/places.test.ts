import { expect, test } from 'vitest';
import { environmentOfInstance, instanceName } from '../../../src/config/places.ts';

test('commands in a shell look where the daemon of an instance is, and for its rows', () => {
  const env = environmentOfInstance('/etc/dropledger/north.json');
  expect(env).toEqual({
    STATE_DIRECTORY: '/var/lib/dropledger-north',
    RUNTIME_DIRECTORY: '/run/dropledger-north',
    DROPLEDGER_INSTANCE: 'north',
  });
  expect(instanceName(env)).toBe('north');
});

test.each(['/etc/dropledger/config.json', '/home/me/north.json', ''])('%j is no instance', (file) => {
  expect(environmentOfInstance(file)).toEqual({});
  expect(instanceName({})).toBe('default');
});
