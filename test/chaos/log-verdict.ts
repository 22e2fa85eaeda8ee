/** Each event stands in the journal of the system once, not a thousand times. */
import type { LogLine } from '../support/daemon.ts';

const perFile = new Set(['uploaded', 'duplicate', 'quarantined']);

export function judgeLog(lines: readonly LogLine[]): string[] {
  const findings: string[] = [];
  const said = new Map<string, number>();
  for (const { event, id } of lines) {
    if (perFile.has(event)) said.set(`${event} ${id}`, (said.get(`${event} ${id}`) ?? 0) + 1);
  }
  for (const [what, times] of said) if (times > 1) findings.push(`the log says ${times} times: ${what}`);
  return findings;
}

/** Of one daemon: outages begin and end in turn, and nothing is repeated without end. */
export function judgeLife(lines: readonly LogLine[], mostOfOneKind: number): string[] {
  const findings: string[] = [];
  for (const [begins, ends] of [
    ['paused', 'resumed'],
    ['ledger-down', 'ledger-up'],
  ] as const) {
    let isOut = false;
    for (const { event } of lines) {
      if (event === ends && !isOut) findings.push(`${ends} without ${begins}`);
      if (event === begins || event === ends) isOut = event === begins;
    }
  }
  const kinds = Map.groupBy(lines, ({ event, path, folder, error, message }) =>
    JSON.stringify([event, path ?? folder, String(error ?? '').replace(/\(request \w+\)/, ''), message]),
  );
  for (const [kind, same] of kinds) if (same.length > mostOfOneKind) findings.push(`${same.length} times: ${kind}`);
  return findings;
}
