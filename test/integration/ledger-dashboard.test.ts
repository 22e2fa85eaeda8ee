import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import { sampleChain } from '../support/ledger-rows.ts';
import { usePostgres } from '../support/postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly rawSql: string }[] }[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

const dashboard = JSON.parse(
  readFileSync(new URL('../../docs/grafana/ledger.json', import.meta.url), 'utf8'),
) as Dashboard;

/** As Grafana's PostgreSQL data source writes its macros out. */
const writtenOut = (sql: string) =>
  sql
    .replaceAll('$__timeFilter(recorded_at)', `recorded_at BETWEEN now() - interval '7 days' AND now()`)
    .replaceAll(
      '$__timeGroup(recorded_at, $__interval)',
      'floor(extract(epoch from recorded_at) / 3600) * 3600 AS "time"',
    )
    .replaceAll('$host', `'scanner-1','scanner-2'`);

const postgres = usePostgres();

test('every panel of the Grafana dashboard shows something, with the reader’s rights', async () => {
  const log = recordingLog();
  await using database = await postgres.createDatabase();
  await using writer = createLedgerPool({ ...database.writer, log });
  const rows = sampleChain(20, (index) => ({
    path: `scan-${index}`,
    ...(index === 7 && { status: 'failed' as const, error: 'too big', sha256: null, object_key: null }),
  }));
  await createLedger(writer).record(rows.map((row) => JSON.stringify(row)));
  await using reader = createLedgerPool({ ...database.reader, log });
  for (const { title, targets } of dashboard.panels)
    for (const { rawSql } of targets) {
      const result = await reader.query(writtenOut(rawSql));
      expect(Object.values(result.rows[0] ?? {}), title).not.toEqual([]);
      expect(Object.values(result.rows[0] ?? {}), title).not.toContain(null);
    }
  const hosts = dashboard.templating.list.find(({ name }) => name === 'host');
  expect((await reader.query(writtenOut(hosts?.query ?? ''))).rows).toEqual([{ host: 'scanner-1' }]);
});
