import type { Daemon, LogLine } from '../support/daemon.ts';

/** These stand in the log once for each row, whatever happened on the way. */
const oncePerRow: ReadonlySet<string> = new Set(['uploaded', 'duplicate', 'quarantined']);

/** How often one daemon may say the very same. */
const mostOfOneKind = 20;

/** Each event stands in the log once, not a thousand times; and no secret does. */
export function judgeLog(daemons: readonly Daemon[], secrets: readonly string[]): string[] {
  const perRow = daemons.flatMap(({ lines }) => lines.filter(({ event }) => oncePerRow.has(event)));
  const repeated = [...Map.groupBy(perRow, ({ event, id }) => `${event} ${id}`)].filter(([, said]) => said.length > 1);
  return [
    ...repeated.map(([what, said]) => `the log says ${said.length} times: ${what}`),
    ...daemons.flatMap(({ lines }) => [...judgeOutages(lines), ...judgeRepetition(lines)]),
    ...daemons.flatMap((daemon) => (secrets.some((secret) => daemon.output().includes(secret)) ? ['a secret'] : [])),
  ];
}

/** They begin and end in turn. (One may begin again in another way: S3 was away, now the credentials are refused.) */
function judgeOutages(lines: readonly LogLine[]): string[] {
  const pairs = [
    ['paused', 'resumed'],
    ['ledger-down', 'ledger-up'],
  ] as const;
  return pairs.flatMap(([begins, ends]) => {
    const events = lines.map(({ event }) => event).filter((event) => event === begins || event === ends);
    const isWrong = events.some((event, index) => event === ends && events[index - 1] !== begins);
    return isWrong ? [`${ends} without ${begins}: ${events.join(', ')}`] : [];
  });
}

function judgeRepetition(lines: readonly LogLine[]): string[] {
  const others = lines.filter(({ event }) => !oncePerRow.has(event));
  const kinds = Map.groupBy(others, ({ event, path, folder, error, message }) =>
    JSON.stringify([event, path ?? folder, String(error ?? '').replace(/\(request \w+\)/, ''), message]),
  );
  return [...kinds]
    .filter(([, same]) => same.length > mostOfOneKind)
    .map(([kind, same]) => `${same.length} times: ${kind}`);
}
