/**
 * How fast the whole daemon is, and at what cost, beside the uploaders that are installed (rclone, aws-cli, s5cmd):
 *
 *     npm run bench -- [CASE…] [--scale 1] [--runs 3] [--folder DIR] [--json FILE] [--svg FILE]
 *
 * Cases: small large one-large latency backlog drop-to-row (all of them by default). `--scale 0.1` makes a tenth of the
 * files, or of their size. The endpoint is a sink of its own, over TLS; BENCH_ENDPOINT= (with BENCH_CA=, a PEM file)
 * names another that takes any key and keeps nothing. The program is measured as packages bring it; BENCH_NODE_OPTIONS=
 * goes to the daemon (`--cpu-prof --cpu-prof-dir=DIR` says where its time goes). The ledger is a real Postgres. Prints
 * Markdown.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { backlogCase, dropToRowCase, latencyCase } from './alone.ts';
import { type Comparison, compare } from './compare.ts';
import { findPeers, type Tuning } from './peers.ts';
import { packProgram } from './program.ts';
import { backlogLine, barChart, comparisonTable, dropToRowLine, latencyLine } from './report.ts';
import { startSink } from './sink.ts';
import { makeWorkplace, type Target, type Workplace } from './workplace.ts';

const mebibyte = 2 ** 20;
const latencyMs = 20;

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    svg: { type: 'string' },
  },
});
const scale = Number(given.scale);
const scaled = (count: number) => Math.max(1, Math.round(count * scale));
const say = (text: string) => process.stderr.write(`${text}\n`);

const comparisons: Record<string, { title: string; files: { count: number; size: number }; tuning: Tuning }> = {
  small: {
    title: 'Small files: 4 KiB each',
    files: { count: scaled(10_000), size: 4096 },
    tuning: { parallel: 32, kind: 'small' },
  },
  large: {
    title: 'Large files: 8 at once',
    files: { count: 8, size: scaled(256 * mebibyte) },
    tuning: { parallel: 8, kind: 'large' },
  },
  'one-large': {
    title: 'One large file',
    files: { count: 1, size: scaled(4096 * mebibyte) },
    tuning: { parallel: 8, kind: 'large' },
  },
};
const alone = ['latency', 'backlog', 'drop-to-row'];
const known = [...Object.keys(comparisons), ...alone];
const wanted = positionals.length === 0 ? known : positionals;
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) throw new Error(`no such case: ${unknown.join(', ')} (there are ${known.join(', ')})`);

await using program = await openProgram();
const results: Record<string, unknown> = {};
for (const name of wanted) {
  say(`── ${name}`);
  await using workplace = await makeWorkplace(given.folder, program.folder);
  const comparison = comparisons[name];
  const text = comparison === undefined ? await runAlone(name, workplace) : await runCompared(name, workplace);
  process.stdout.write(`\n${text}\n`);
}
if (given.json !== undefined) await writeFile(given.json, `${JSON.stringify(results, null, 2)}\n`);
if (given.svg !== undefined) await writeFile(given.svg, chart());

/** Packed, and started once: what the first start after an installation has to compile is not what is measured. */
async function openProgram(): Promise<{ readonly folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(given.folder, 'dropledger-'));
  await packProgram(folder);
  await using workplace = await makeWorkplace(given.folder, folder);
  await using endpoint = await openEndpoint(workplace);
  const daemon = workplace.start(endpoint.target);
  await daemon.ready;
  await daemon.stop();
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

async function runCompared(name: string, workplace: Workplace): Promise<string> {
  const { title, files, tuning } = comparisons[name] as (typeof comparisons)[string];
  await using endpoint = await openEndpoint(workplace);
  const { target } = endpoint;
  const peers = await findPeers(target, join(workplace.folder, 'peers'));
  const result = await compare({ workplace, target, peers, files, tuning, runs: Number(given.runs), say });
  results[name] = result;
  const versions = peers.map((peer) => `${peer.name} ${peer.version}`).join(', ');
  return `${comparisonTable(`${title}, ${files.count} × ${sizeText(files.size)}`, result)}\n\nBeside it: ${versions || 'no peer is installed'}.`;
}

async function runAlone(name: string, workplace: Workplace): Promise<string> {
  await using endpoint = await openEndpoint(workplace, name === 'latency' ? latencyMs : 0);
  const { target } = endpoint;
  if (name === 'latency') {
    const figures = await latencyCase({ workplace, target, latencyMs }, scaled(4000));
    results[name] = figures;
    return latencyLine(latencyMs, figures);
  }
  if (name === 'backlog') {
    const figures = await backlogCase({ workplace, target }, scaled(100_000));
    results[name] = figures;
    return backlogLine(figures);
  }
  const figures = await dropToRowCase({ workplace, target }, scaled(3000));
  results[name] = figures;
  return dropToRowLine(figures);
}

async function openEndpoint(workplace: Workplace, latency = 0): Promise<{ target: Target } & AsyncDisposable> {
  const url = process.env['BENCH_ENDPOINT'];
  if (url !== undefined && latency === 0) {
    const target = { url, caFile: process.env['BENCH_CA'] ?? '' };
    return { target, [Symbol.asyncDispose]: async () => {} };
  }
  const sink = await startSink(join(workplace.folder, 'sink'), latency);
  return { target: sink, [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose]() };
}

function chart(): string {
  const bars = (name: string, of: 'filesPerSecond' | 'megabytesPerSecond' | 'cpuSecondsPerGb') =>
    (results[name] as Comparison | undefined)?.tools.map((tool) => [tool.name, tool[of]] as const) ?? [];
  const charts = [
    { title: 'Small files, files/s', unit: '', bars: bars('small', 'filesPerSecond') },
    { title: 'Large files, MB/s', unit: 'MB/s', bars: bars('large', 'megabytesPerSecond') },
    { title: 'Large files, CPU seconds per GB (less is better)', unit: 's', bars: bars('large', 'cpuSecondsPerGb') },
  ];
  return barChart(charts.filter((one) => one.bars.length > 0));
}

function sizeText(bytes: number): string {
  return bytes >= mebibyte ? `${Math.round(bytes / mebibyte)} MiB` : `${bytes / 1024} KiB`;
}
