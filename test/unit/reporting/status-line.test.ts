import { expect, test } from 'vitest';
import { statusLine } from '../../../src/reporting/status-line.ts';

test('the status line says what matters first', () => {
  const status = {
    uploading: 3,
    queued: 120,
    paused: undefined,
    ledgerIsUp: true,
    rowsWaiting: 0,
    credentialsUntil: undefined,
  };
  expect(statusLine(status)).toBe('3 uploading, 120 queued, ledger ok');
  expect(statusLine({ ...status, paused: 'ExpiredToken', ledgerIsUp: false, rowsWaiting: 7 })).toBe(
    'paused: ExpiredToken, 120 queued, ledger down, 7 rows wait',
  );
  expect(statusLine({ ...status, credentialsUntil: new Date(2026, 0, 1, 9, 5) })).toContain('credentials until 09:05');
});
