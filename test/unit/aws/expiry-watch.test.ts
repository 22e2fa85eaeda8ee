import { expect, test, vi } from 'vitest';
import type { CredentialState } from '../../../src/aws/credentials.ts';
import { watchExpiry } from '../../../src/aws/expiry-watch.ts';
import { recordingLog } from '../../support/recording-log.ts';

const minuteMs = 60_000;
const ssoState = (endsAt: Date | null): CredentialState => ({
  source: { kind: 'sso-session', profile: 'prod', session: 'acme', file: '/home/x/.aws/config' },
  description: 'SSO session acme',
  mending: 'aws sso login --use-device-code --profile prod',
  expiresAt: null,
  renewsItself: true,
  endsAt,
  endIsEstimate: true,
});

/** Looks as often as `look` is called, at a clock that the test sets. */
async function watchAt(startMs: number, endsAt: () => Date | null) {
  let nowMs = startMs;
  const log = recordingLog();
  vi.useFakeTimers();
  const watch = watchExpiry({
    credentials: { state: async () => ssoState(endsAt()) },
    log,
    everyMs: 1000,
    now: () => new Date(nowMs),
  });
  const at = async (ms: number) => {
    nowMs = ms;
    await vi.advanceTimersByTimeAsync(1000);
    return log.named('credentials-expiring').length;
  };
  const end = () => {
    watch[Symbol.dispose]();
    vi.useRealTimers();
  };
  return { at, end, log, watch };
}

test('warns two hours, half an hour and five minutes before the end, once each, with the command', async () => {
  const { at, end, log, watch } = await watchAt(0, () => new Date(480 * minuteMs));
  expect(await at(300 * minuteMs)).toBe(0);
  expect(await at(361 * minuteMs)).toBe(1);
  expect(await at(440 * minuteMs)).toBe(1);
  expect(await at(451 * minuteMs)).toBe(2);
  expect(await at(476 * minuteMs)).toBe(3);
  expect(await at(479 * minuteMs)).toBe(3);
  expect(log.events[0]).toMatchObject({
    level: 'warning',
    fields: { minutes: 119, estimate: true, hint: 'aws sso login --use-device-code --profile prod' },
  });
  expect(watch.endsAt()).toEqual(new Date(480 * minuteMs));
  end();
});

test('a new login starts it over; credentials that renew themselves are not warned of', async () => {
  let endsAt: Date | null = new Date(60 * minuteMs);
  const { at, end } = await watchAt(0, () => endsAt);
  expect(await at(0)).toBe(1);
  endsAt = new Date(600 * minuteMs);
  expect(await at(10 * minuteMs)).toBe(1);
  expect(await at(500 * minuteMs)).toBe(2);
  endsAt = null;
  expect(await at(599 * minuteMs)).toBe(2);
  end();
});
