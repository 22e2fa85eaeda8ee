import type { EventLog } from '../model.ts';
import type { Credentials } from './credentials.ts';

export interface ExpiryWatchOptions {
  readonly credentials: Pick<Credentials, 'state'>;
  readonly log: EventLog;
  readonly everyMs?: number;
  readonly now?: () => Date;
}

export interface ExpiryWatch extends Disposable {
  /** When a person must act, as last looked up; undefined where nobody need, or it can't be told. */
  endsAt(): Date | undefined;
}

const minuteMs = 60_000;
/** Warned of once as each of these comes up: time to find somebody who can log in, to log in, and the last call. */
const warnBeforeMs = [120 * minuteMs, 30 * minuteMs, 5 * minuteMs];

/** Warns before credentials end that will not renew themselves; uploads pause only when they have ended. */
export function watchExpiry({
  credentials,
  log,
  everyMs = minuteMs,
  now = () => new Date(),
}: ExpiryWatchOptions): ExpiryWatch {
  let endsAt: Date | undefined;
  let warned: { readonly endsAtMs: number; readonly limitMs: number } | undefined;

  const look = async (): Promise<void> => {
    const state = await credentials.state();
    endsAt = state.endsAt ?? undefined;
    if (endsAt === undefined) return;
    const leftMs = endsAt.getTime() - now().getTime();
    const limitMs = warnBeforeMs.findLast((limit) => leftMs <= limit);
    if (limitMs === undefined || leftMs <= 0) return;
    if (warned?.endsAtMs === endsAt.getTime() && warned.limitMs <= limitMs) return;
    warned = { endsAtMs: endsAt.getTime(), limitMs };
    log.warning(
      'credentials-expiring',
      {
        at: endsAt.toISOString(),
        minutes: Math.floor(leftMs / minuteMs),
        estimate: state.endIsEstimate ? true : undefined,
        source: state.description,
        hint: state.mending,
      },
      'a new login is picked up with no restart',
    );
  };
  const lookOrLeave = () =>
    void look().catch((error: unknown) => log.debug('expiry is unknown', { error: String(error) }));

  lookOrLeave();
  const timer = setInterval(lookOrLeave, everyMs);
  return {
    endsAt: () => endsAt,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
