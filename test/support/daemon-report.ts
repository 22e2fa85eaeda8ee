import type { DaemonReport } from '../../src/control/protocol.ts';

/** A daemon that has nothing to do, but for what the test says. */
export const daemonReport = (changes: Partial<DaemonReport> = {}): DaemonReport => ({
  version: '1.2.3',
  pid: 4711,
  host: 'scanner',
  instance: 'default',
  startedAt: '2026-03-01T10:00:00.000Z',
  at: '2026-03-01T12:00:00.000Z',
  phase: 'running',
  folder: '/srv/dropledger/inbox',
  bucket: 'records',
  prefix: 'scans/',
  ledgerHost: 'db.example.org',
  uploads: { underWay: [], count: 0, paused: null },
  throughput: { bytes: Array(60).fill(0), files: Array(60).fill(0) },
  queue: { settling: 0, queued: 0, uploading: 0, stored: 0, recorded: 0, kept: 0, notMovable: 0 },
  oldestUnrecordedAt: null,
  rescan: {
    at: '2026-03-01T11:59:50.000Z',
    ...{ ms: 85, files: 0, folders: 3, ignored: 0, special: 0, unreadable: 0, foundByRescan: 0 },
  },
  ledger: {
    ...{ up: true, downSince: null, reason: null, hint: null, rowsWaiting: 0, rowsSetAside: 0, recorded: 0 },
    lastRecordedAt: null,
  },
  credentials: {
    source: 'the role of this EC2 instance',
    principal: 'arn:aws:sts::123456789012:assumed-role/writer/i-1',
    ...{ expiresAt: '2026-03-01T18:00:00.000Z', renewsItself: true, endsAt: null, endIsEstimate: false },
  },
  quarantine: { files: 0, more: false },
  totals: { uploaded: 0, bytes: 0, duplicates: 0, quarantined: 0, gone: 0, retries: 0 },
  ...changes,
});
