import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { statusText } from '../../../../src/cli/status/report-text.ts';
import { cutToColumns } from '../../../../src/cli/terminal/cut-line.ts';
import { plain } from '../../../../src/cli/terminal/output.ts';
import { sparkline } from '../../../../src/cli/terminal/sparkline.ts';
import { widthOf } from '../../../../src/cli/terminal/text.ts';
import type { DaemonReport } from '../../../../src/control/protocol.ts';
import { daemonReport } from '../../../support/daemon-report.ts';

const textOf = (changes: Partial<DaemonReport>) => statusText(daemonReport(changes), plain).join('\n');

test('a daemon with nothing to do says so in a few lines', () => {
  expect(textOf({})).toBe(
    `dropledger 1.2.3 on scanner  ● running  pid 4711, for 2.0 h
/srv/dropledger/inbox → s3://records/scans/

Throughput   ${'▁'.repeat(59)}  0 B/s, 0 files/s
Queue        empty
Oldest       no file waits for its row
Rescan       10.0 s ago, in 85 ms: 0 files in 3 folders
Ledger       ok at db.example.org: 0 rows recorded
Credentials  the role of this EC2 instance, arn:aws:sts::123456789012:assumed-role/writer/i-1; they renew themselves
Since start  0 uploaded (0 B)`,
  );
});

test('each transfer has a bar, its speed and the time that is left', () => {
  const transfer = { startedAt: '2026-03-01T11:59:00.000Z', failedAttempts: 0 };
  const underWay = [
    { ...transfer, path: 'backups/large.img', size: 100 * 2 ** 20, bytesStored: 40 * 2 ** 20, bytesPerSecond: 2 ** 20 },
    { ...transfer, path: 'again.txt', size: 10, bytesStored: 0, bytesPerSecond: 0, failedAttempts: 2 },
    { ...transfer, path: 'empty', size: 0, bytesStored: 0, bytesPerSecond: 0 },
  ];
  const text = textOf({ uploads: { underWay, count: 55, paused: null } });
  expect(text).toMatch(
    /^████████············ +40 % {2}backups\/large\.img +40\.0 MiB of 100\.0 MiB {2}1\.0 MiB\/s, 60\.0 s left$/m,
  );
  expect(text).toMatch(/^·{20} +0 % {2}again\.txt +10 B {2}attempt 3$/m);
  expect(text).toContain('and 52 more');
});

test('what is out of order comes with what to do', () => {
  const text = textOf({
    uploads: {
      ...{ underWay: [], count: 0 },
      paused: {
        since: '2026-03-01T11:55:00.000Z',
        reason: 'the token has expired',
        hint: 'aws sso login --profile x',
        attempts: 7,
        nextTryAt: '2026-03-01T12:00:12.000Z',
      },
    },
    ledger: {
      ...{ up: false, downSince: '2026-03-01T11:00:00.000Z', reason: 'connection refused', hint: 'Start it.' },
      ...{ rowsWaiting: 1234, rowsSetAside: 2, recorded: 5, lastRecordedAt: '2026-03-01T11:00:00.000Z' },
    },
    quarantine: { files: 10_000, more: true },
  });
  expect(text).toContain('● paused');
  expect(text).toContain('! Uploads are paused for 5 min: the token has expired\n  → aws sso login --profile x');
  expect(text).toContain('asked 7 times, next in 12.0 s');
  expect(text).toContain(
    '! The ledger is down for 60 min: connection refused\n  1,234 rows wait; uploads go on\n  → Start it.',
  );
  expect(text).toContain('✗ 2 rows are set aside');
  expect(text).toContain('✗ 10,000 or more in quarantine');
});

test.each([
  ['2026-03-01T14:05:00.000Z', true, 'end in 2.1 h (an estimate)'],
  ['2026-03-01T12:05:00.000Z', false, 'end in 5 min'],
  ['2026-03-01T11:05:00.000Z', false, 'ended'],
])('credentials that end at %s', (endsAt, endIsEstimate, said) => {
  const source = { source: 'SSO', principal: null, expiresAt: endsAt, renewsItself: false };
  expect(textOf({ credentials: { ...source, endsAt, endIsEstimate } })).toContain(`Credentials  SSO; ${said}\n`);
});

test('names and reasons cannot draw on the terminal', () => {
  const path = '\x1b[2J\u202eevil\n.txt';
  const transfer = {
    size: 1,
    bytesStored: 0,
    bytesPerSecond: 0,
    startedAt: '2026-03-01T11:59:00.000Z',
    failedAttempts: 0,
  };
  const text = textOf({ folder: path, uploads: { underWay: [{ ...transfer, path }], count: 1, paused: null } });
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}/u);
  expect(text.split('\n')).toHaveLength(textOf({}).split('\n').length + 2);
});

test('a sparkline draws little as little, and nothing as nothing', () => {
  expect(sparkline([0, 1, 50, 100])).toBe('▁▂▅█');
  expect(sparkline([0, 0])).toBe('▁▁');
});

test.each([
  ['plain', 'abcdef', 3, 'abc'],
  ['that fits', 'abc', 3, 'abc'],
  ['with wide letters', '日本語', 5, '日本'],
  ['with combining marks', 'e\u0301e\u0301e\u0301', 2, 'e\u0301e\u0301'],
])('a line is cut to the columns of the terminal: %s', (_what, line, columns, cut) => {
  expect(cutToColumns(line, columns)).toBe(cut);
});

test('a line that is cut within a colour ends it', () => {
  const cut = cutToColumns('\x1b[31mred letters\x1b[39m and more', 5);
  expect(stripVTControlCharacters(cut)).toBe('red l');
  expect(cut.endsWith('\x1b[0m')).toBe(true);
  expect(widthOf(stripVTControlCharacters(cut))).toBe(5);
});
