import type { LedgerFilter } from '../../ledger/filter.ts';
import type { LedgerStatus } from '../../model.ts';
import { UsageError } from '../../service/errors.ts';
import { type CommandOption, type GivenOptions, textOf } from '../command.ts';

const times = 'a date, a time (2026-03-31T16:00Z) or an age (90m, 24h, 7d); UTC, by when it was recorded';

export const filterOptions = {
  since: { value: 'TIME', describe: `from then on: ${times}` },
  until: { value: 'TIME', describe: 'before then' },
  status: { value: 'STATUS', describe: 'uploaded, duplicate or failed' },
  path: { value: 'GLOB', describe: 'such as "invoices/**/*.pdf", "invoices/" for all below it' },
  sha256: { value: 'HEX', describe: 'files with this content' },
  host: { value: 'NAME', describe: 'files that were dropped on this machine' },
} as const satisfies Record<string, CommandOption>;

/** @throws UsageError */
export function readFilter(given: GivenOptions, now = new Date()): LedgerFilter {
  const sha256 = textOf(given, 'sha256')?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) throw new UsageError('--sha256 takes 64 hex digits');
  const status = textOf(given, 'status');
  if (status !== undefined && !isStatus(status))
    throw new UsageError(`--status takes ${statuses.join(', ')}, not ${JSON.stringify(status)}`);
  return {
    since: timeOf(given, 'since', now),
    until: timeOf(given, 'until', now),
    status,
    path: textOf(given, 'path'),
    sha256,
    host: textOf(given, 'host'),
  };
}

const statuses = ['uploaded', 'duplicate', 'failed'];
const isStatus = (text: string): text is LedgerStatus => statuses.includes(text);

const msOf = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

function timeOf(given: GivenOptions, name: 'since' | 'until', now: Date): Date | undefined {
  const text = textOf(given, name);
  if (text === undefined) return undefined;
  const age = /^(?<count>\d+)(?<unit>[smhdw])$/.exec(text)?.groups;
  if (age !== undefined) return new Date(now.getTime() - Number(age['count']) * msOf[age['unit'] as keyof typeof msOf]);
  const isTime = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text);
  // Without a zone it is UTC, as everything this program prints.
  const zoned = /[T ].*(Z|[+-]\d\d:?\d\d)$/.test(text) || text.length === 10 ? text : `${text}Z`;
  const time = new Date(zoned.replace(' ', 'T'));
  if (!isTime || Number.isNaN(time.getTime()))
    throw new UsageError(`--${name} ${JSON.stringify(text)} is not a time`, {
      hint: 'Such as 2026-03-31, 2026-03-31T16:00Z, 24h or 7d.',
    });
  return time;
}

/** A whole number from 1 on. @throws UsageError */
export function countOf(given: GivenOptions, name: string): number | undefined {
  const text = textOf(given, name);
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new UsageError(`--${name} takes a whole number from 1 on, not ${text}`);
  return Number(text);
}
