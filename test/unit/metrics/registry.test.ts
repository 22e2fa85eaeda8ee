import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRegistry, type MeasuredEvents } from '../../../src/metrics/registry.ts';
import type { MeasuredState } from '../../../src/metrics/state-metrics.ts';
import { daemonReport } from '../../support/daemon-report.ts';

let state: MeasuredState;
let events: MeasuredEvents;
let registry: ReturnType<typeof createRegistry>;
beforeEach(() => {
  state = daemonReport();
  registry = createRegistry({
    report: async () => state,
    observe: (told) => {
      events = told;
    },
    places: { archive: tmpdir(), journal: '/nowhere' },
  });
});
afterEach(() => registry.clear());

/** The value of a series, as it stands in the text; undefined where it is absent. */
const sample = async (series: string): Promise<number | undefined> => {
  const line = (await registry.text()).split('\n').find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

test('what the daemon counts, and what it knows', async () => {
  state = daemonReport({
    totals: { uploaded: 12, bytes: 34_567, duplicates: 3, quarantined: 2, gone: 1, retries: 0 },
    queue: { settling: 1, queued: 2, uploading: 3, stored: 4, recorded: 5, kept: 6, notMovable: 7 },
    oldestUnrecordedAt: '2026-03-01T11:58:20.000Z',
    quarantine: { files: 2, more: false },
  });
  const expected = {
    'dropledger_build_info{version="1.2.3"}': 1,
    'dropledger_files_total{outcome="uploaded"}': 12,
    'dropledger_files_total{outcome="duplicate"}': 3,
    dropledger_uploaded_bytes_total: 34_567,
    'dropledger_queue_files{state="queued"}': 2,
    'dropledger_queue_files{state="not_movable"}': 7,
    dropledger_oldest_unrecorded_age_seconds: 100,
    dropledger_quarantine_files: 2,
    dropledger_ledger_up: 1,
    dropledger_uploads_paused: 0,
    dropledger_rescan_duration_seconds: 0.085,
  };
  for (const [series, value] of Object.entries(expected)) expect(await sample(series), series).toBe(value);
  state = { ...state, totals: { ...state.totals, uploaded: 13 } };
  expect(await sample('dropledger_files_total{outcome="uploaded"}')).toBe(13);
});

test('an outage', async () => {
  const paused = { since: '', reason: 'S3 is down', hint: null, attempts: 1, nextTryAt: '' };
  state = daemonReport({
    uploads: { underWay: [], count: 0, paused },
    ledger: { ...daemonReport().ledger, up: false, rowsWaiting: 9, rowsSetAside: 1 },
  });
  expect(await sample('dropledger_uploads_paused')).toBe(1);
  expect(await sample('dropledger_ledger_up')).toBe(0);
  expect(await sample('dropledger_outbox_rows{state="waiting"}')).toBe(9);
  expect(await sample('dropledger_outbox_rows{state="set_aside"}')).toBe(1);
});

test('what is not known is absent, and comes and goes', async () => {
  const ends = 'dropledger_credentials_login_end_timestamp_seconds';
  expect(await sample(ends)).toBeUndefined();
  const login = { source: 'SSO', principal: null, expiresAt: null, renewsItself: false, endIsEstimate: true };
  state = daemonReport({ credentials: { ...login, endsAt: '2026-03-01T14:05:00.000Z' }, rescan: null });
  expect(await sample(ends)).toBe(Date.parse('2026-03-01T14:05:00.000Z') / 1000);
  expect(await sample('dropledger_rescan_timestamp_seconds')).toBeUndefined();
  state = daemonReport();
  expect(await sample(ends)).toBeUndefined();
});

test('distributions are counted as it happens', async () => {
  events.uploaded(5000, 0.2);
  events.uploaded(5e6, 3);
  events.retried('s3');
  events.retried('s3');
  expect(await sample('dropledger_upload_duration_seconds_bucket{le="0.25"}')).toBe(1);
  expect(await sample('dropledger_upload_duration_seconds_count')).toBe(2);
  expect(await sample('dropledger_upload_size_bytes_sum')).toBe(5_005_000);
  expect(await sample('dropledger_retries_total{kind="s3"}')).toBe(2);
});

test('free space, of the places that are there', async () => {
  expect(await sample('dropledger_free_bytes{place="archive"}')).toBeGreaterThan(0);
  expect(await sample('dropledger_free_bytes{place="journal"}')).toBeUndefined();
});

test('the process and its event loop', async () => {
  for (const name of [
    'nodejs_eventloop_lag_p99_seconds',
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
  ]) {
    expect(await sample(name), name).toBeGreaterThanOrEqual(0);
  }
});

/** A rule on a metric that is not there never fires, and nobody notices. */
test.each(['prometheus/dropledger-alerts.yaml', 'grafana/metrics.json'])(
  'docs/%s asks for metrics that there are',
  async (file) => {
    const text = readFileSync(new URL(`../../../docs/${file}`, import.meta.url), 'utf8');
    events.retried('s3');
    state = daemonReport({
      credentials: {
        ...{ source: 'SSO', principal: null, renewsItself: false, endIsEstimate: false },
        ...{ expiresAt: '2026-03-01T14:05:00.000Z', endsAt: '2026-03-01T14:05:00.000Z' },
      },
    });
    const series = (await registry.text()).split('\n').map((line) => line.split(/[{ ]/)[0]);
    const asked = [...text.matchAll(/\b(?:dropledger|nodejs|process)_[a-z0-9_]+\b/g)].map(([name]) => name);
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.filter((name) => !series.includes(name))).toEqual([]);
  },
);
