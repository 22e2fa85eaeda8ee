/**
 * The ledger with ten million rows: how long each way to ask takes, and what recording costs.
 *
 *     npm run bench:ledger -- [--rows 10000000] [--directory /var/tmp/dropledger-scale] [--explain]
 *
 * Makes the rows at first (ten minutes, 17 GB with the log) and keeps them in the directory for the next run. Prints Markdown.
 */
import { hash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool, type LedgerPool } from '../../src/ledger/pool.ts';
import { createLedgerReader, type LedgerReader } from '../../src/ledger/reader.ts';
import { sampleChain } from '../support/ledger-rows.ts';
import { openScaleDatabase, type ScaleDatabase } from './ledger-scale-database.ts';

const { values: given } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    directory: { type: 'string', default: '/var/tmp/dropledger-scale' },
    explain: { type: 'boolean', default: false },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);

await using database = await openScaleDatabase(given.directory, Number(given.rows), say);
await sizes();
await reads();
await writes();

async function sizes(): Promise<void> {
  say('\n| what | size |\n| --- | --- |');
  const { rows } = await database.query(
    `SELECT relname AS name, pg_size_pretty(pg_total_relation_size(oid) - CASE relkind WHEN 'r' THEN pg_indexes_size(oid) ELSE 0 END) AS size
       FROM pg_class WHERE relnamespace = 'dropledger'::regnamespace AND relname LIKE 'uploads%' ORDER BY relkind DESC, relname`,
  );
  for (const { name, size } of rows) say(`| ${name} | ${size} |`);
}

async function reads(): Promise<void> {
  await using pool = createLedgerPool({ ...database.login, max: 4, statementTimeoutMs: 0 });
  const asked: { text: string; values: readonly unknown[] }[] = [];
  const listening: LedgerPool = {
    ...pool,
    query(text, values = [], signal) {
      asked.push({ text, values });
      return pool.query(text, values, signal);
    },
  };
  const reader = createLedgerReader(listening);
  const [one] = await reader.list({ status: 'uploaded', until: daysAgo(100) }, 1);
  if (one === undefined) throw new Error('no rows');
  const { path, sha256, id, bucket, object_key: key } = one;
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const thousand = (await reader.sample({ bucket, keyPrefix: 'inbox/' }, 1000)).map(
    ({ object_key }) => object_key ?? '',
  );
  const questions: Record<string, (reader: LedgerReader) => Promise<unknown>> = {
    'list, the newest 50': (ledger) => ledger.list({}, 50),
    'list --since 1d': (ledger) => ledger.list({ since: daysAgo(1) }, 50),
    'list --path FILE': (ledger) => ledger.list({ path }, 50),
    'list --path, no such file': (ledger) => ledger.list({ path: 'no/such/file' }, 50),
    'list --path FOLDER/*.pdf': (ledger) => ledger.list({ path: `${folder}*.pdf` }, 50),
    'list --sha256': (ledger) => ledger.list({ sha256: sha256 ?? '' }, 50),
    'list --status failed': (ledger) => ledger.list({ status: 'failed' }, 50),
    'list --host': (ledger) => ledger.list({ host: 'host-7' }, 50),
    'show ID': (ledger) => ledger.find(id.slice(0, 18)),
    'explain FILE (all rows of a path)': (ledger) => ledger.others(one),
    'the rows of one object': (ledger) => ledger.uploadsOf(bucket, [key ?? '']),
    'the rows of 1,000 objects (verify)': (ledger) => ledger.uploadsOf(bucket, thousand),
    'stats --since 7d': (ledger) => ledger.stats({ since: daysAgo(7) }),
    'stats --since 30d': (ledger) => ledger.stats({ since: daysAgo(30) }),
  };
  say('\n| question | fastest ms | median ms | slowest ms |\n| --- | ---: | ---: | ---: |');
  const plans: string[] = [];
  for (const [name, ask] of Object.entries(questions)) {
    const times = await timed(11, () => ask(reader));
    say(`| ${name} | ${ms(times[0])} | ${ms(median(times))} | ${ms(times.at(-1))} |`);
    asked.length = 0;
    await ask(reader);
    for (const { text, values } of asked.filter(({ text }) => !text.startsWith('EXPLAIN')))
      plans.push(`## ${name}\n${await planOf(database, text, values)}`);
  }
  if (given.explain) say(plans.join('\n'));
}

async function planOf({ query }: ScaleDatabase, text: string, values: readonly unknown[]): Promise<string> {
  const { rows } = await query(`EXPLAIN (ANALYZE, BUFFERS) ${text}`, [...values]);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

/** Commits wait for the disk, as they do for the daemon. What is written is removed again. */
async function writes(): Promise<void> {
  say('\n| recording | fastest ms | median ms | slowest ms | rows/s |\n| --- | ---: | ---: | ---: | ---: |');
  // As a server that has been up for a while has them.
  await database.query('CREATE EXTENSION IF NOT EXISTS pg_prewarm');
  await database.query(`SELECT pg_prewarm('dropledger.uploads_sha256')`);
  try {
    await using pool = createLedgerPool({ ...database.login, max: 1 });
    const batches = Array.from({ length: 30 }, () => batchOf(1000));
    const began = performance.now();
    const times = await timed(batches.length, () => createLedger(pool).record(batches.pop() ?? []));
    say(
      `| one writer, 1,000 rows a batch | ${ms(times[0])} | ${ms(median(times))} | ${ms(times.at(-1))} | ${rate(30_000, began)} |`,
    );
    await manyWriters(100, 20, 10);
  } finally {
    await database.query(`
      ALTER TABLE dropledger.uploads DISABLE TRIGGER append_only;
      DELETE FROM dropledger.uploads WHERE daemon_version = 'bench' AND recorded_at > now() - interval '1 hour';
      ALTER TABLE dropledger.uploads ENABLE ALWAYS TRIGGER append_only`);
    await database.query('VACUUM (ANALYZE) dropledger.uploads');
    await database.query('REINDEX INDEX dropledger.uploads_recorded_at'); // What was removed left holes at its end.
  }
}

async function manyWriters(writers: number, batches: number, rowsEach: number): Promise<void> {
  await using pools = new AsyncDisposableStack();
  const ledgers = Array.from({ length: writers }, () =>
    createLedger(pools.use(createLedgerPool({ ...database.login, max: 1 }))),
  );
  await Promise.all(ledgers.map((ledger) => ledger.record(batchOf(1)))); // each has logged in
  const work = Array.from({ length: writers }, () => Array.from({ length: batches }, () => batchOf(rowsEach)));
  const began = performance.now();
  const times = await Promise.all(
    ledgers.map((ledger, writer) => timed(batches, () => ledger.record(work[writer]?.pop() ?? []))),
  );
  const all = times.flat().sort((a, b) => a - b);
  const rows = writers * batches * rowsEach;
  say(
    `| ${writers} writers at once, ${rowsEach} rows a batch | ${ms(all[0])} | ${ms(median(all))} | ${ms(all.at(-1))} | ${rate(rows, began)} |`,
  );
}

function batchOf(rows: number): string[] {
  const chain = sampleChain(rows, () => {
    const folder = `department-${Math.floor(Math.random() * 40)}/${new Date().toISOString().slice(0, 10)}`;
    const path = `${folder}/scan-${performance.now().toFixed(3)}-${crypto.randomUUID()}.pdf`;
    return { daemon_version: 'bench', path, object_key: `inbox/${path}`, sha256: hash('sha256', path) };
  });
  return chain.map((row) => JSON.stringify(row));
}

/** Sorted, in ms. */
async function timed(times: number, work: () => Promise<unknown>): Promise<number[]> {
  const taken: number[] = [];
  for (let round = 0; round < times; round += 1) {
    const began = performance.now();
    await work();
    taken.push(performance.now() - began);
  }
  return taken.sort((a, b) => a - b);
}

function median(sorted: readonly number[]): number | undefined {
  return sorted[sorted.length >> 1];
}

function ms(value: number | undefined): string {
  return (value ?? Number.NaN).toFixed(1);
}

function rate(rows: number, began: number): string {
  return Math.round(rows / ((performance.now() - began) / 1000)).toLocaleString('en');
}
