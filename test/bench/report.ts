import type { BacklogFigures, DropToRowFigures, LatencyFigures } from './alone.ts';
import type { Comparison, Figures } from './compare.ts';

const digits = (value: number | undefined, places = 0) => (value === undefined ? '—' : value.toFixed(places));

/** Markdown. */
export function comparisonTable(title: string, { runs, tools, failed }: Comparison): string {
  const [ours] = tools;
  const ratio = (of: number, to: number) => `${digits(of / to, 2)}×`;
  const row = (tool: Figures) =>
    [
      tool.name,
      digits(tool.filesPerSecond, tool.filesPerSecond < 100 ? 2 : 0),
      digits(tool.megabytesPerSecond, 1),
      digits(tool.cpuSecondsPerGb, 2),
      digits(tool.cpuSecondsPer1000Files, 2),
      digits(tool.peakRssMb),
      tool === ours || ours === undefined ? '' : ratio(ours.filesPerSecond, tool.filesPerSecond),
      tool === ours || ours === undefined ? '' : ratio(ours.cpuSeconds, tool.cpuSeconds),
    ].join(' | ');
  const lines = [
    `### ${title} (median of ${runs})`,
    '',
    '| | files/s | MB/s | CPU s per GB | CPU s per 1,000 files | peak RSS, MB | dropledger is | at CPU |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...tools.map((tool) => `| ${row(tool)} |`),
    '',
    `dropledger: event loop late by ${digits(ours?.loopDelayP99Ms, 1)} ms (p99), ${digits(ours?.loopDelayMaxMs, 1)} ms at most; ${digits(ours?.idleRssMb)} MB when idle.`,
  ];
  for (const [name, why] of Object.entries(failed)) lines.push(`${name} has no valid figures: ${why.slice(0, 200)}`);
  return lines.join('\n');
}

export const latencyLine = (latencyMs: number, { filesPerSecond, most, bareFilesPerSecond }: LatencyFigures): string =>
  `### ${latencyMs} ms latency\n\n${digits(filesPerSecond)} files/s of ${digits(most)} that 8 requests at once allow (${digits((filesPerSecond / most) * 100)} %); a client that sends the same bytes again and again gets ${digits(bareFilesPerSecond)}.`;

export const backlogLine = (figures: BacklogFigures): string =>
  [
    `### Backlog of ${figures.count.toLocaleString('en')} files at start`,
    '',
    `First upload ${digits(figures.firstUploadAfterStartMs)} ms after the start of the process (${digits(figures.firstUploadAfterReadyMs)} ms after READY); all recorded in ${digits(figures.seconds, 1)} s; peak RSS ${digits(figures.peakRssMb)} MB; event loop late by ${digits(figures.loopDelayP99Ms, 1)} ms (p99), ${digits(figures.loopDelayMaxMs, 1)} ms at most.`,
    `\`status\` was answered in ${digits(figures.statusP50Ms)} ms (median), ${digits(figures.statusMaxMs)} ms at most.`,
    `Files/s by tenth: ${figures.filesPerSecondByTenth.map((rate) => digits(rate)).join(', ')}.`,
  ].join('\n');

export const dropToRowLine = ({ files, p50Ms, p99Ms, maxMs }: DropToRowFigures): string =>
  `### From the drop to the row\n\n${files} files, 100 a second, settleMs 0: p50 ${digits(p50Ms, 1)} ms, p99 ${digits(p99Ms, 1)} ms, at most ${digits(maxMs, 1)} ms.`;

const barHeight = 22;
const labelWidth = 110;
const barWidth = 420;

/** Bars as SVG, readable on light and dark ground. */
export function barChart(
  charts: readonly { title: string; unit: string; bars: readonly (readonly [string, number])[] }[],
) {
  const parts: string[] = [];
  let y = 0;
  for (const { title, unit, bars } of charts) {
    y += 26;
    parts.push(`<text x="0" y="${y}" font-weight="bold">${title}</text>`);
    const most = Math.max(...bars.map(([, value]) => value));
    for (const [index, [name, value]] of bars.entries()) {
      y += barHeight;
      const width = Math.max(1, Math.round((value / most) * barWidth));
      const colour = index === 0 ? '#2563eb' : '#9ca3af';
      parts.push(
        `<text x="0" y="${y}">${name}</text>`,
        `<rect x="${labelWidth}" y="${y - 13}" width="${width}" height="16" rx="2" fill="${colour}"/>`,
        `<text x="${labelWidth + width + 6}" y="${y}">${digits(value, value < 10 ? 2 : 0)} ${unit}</text>`,
      );
    }
    y += 8;
  }
  const size = `width="${labelWidth + barWidth + 130}" height="${y + 10}"`;
  const title = `<title>${charts.map((chart) => chart.title).join('; ')}</title>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="13" fill="#6b7280">\n${title}\n${parts.join('\n')}\n</svg>\n`;
}
