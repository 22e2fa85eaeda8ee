/** The cases that no peer has: latency, backlogs, and the way from the drop to the row. */
import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { ask } from '../../src/control/client.ts';
import { median } from './compare.ts';
import { makeSampleFiles } from './sample-files.ts';
import { passThrough, reached, type Target, type Workplace } from './workplace.ts';

export interface LatencyFigures {
  readonly filesPerSecond: number;
  /** `concurrency / latency`: what no client can exceed. */
  readonly most: number;
  /** What a client gets, right after, that does nothing but send the same bytes again and again. */
  readonly bareFilesPerSecond: number;
}

/** Small files to an endpoint that takes its time; the daemon as it is configured by default. */
export async function latencyCase(
  { workplace, target, latencyMs }: { workplace: Workplace; target: Target; latencyMs: number },
  count: number,
): Promise<LatencyFigures> {
  const concurrency = 8;
  const files = await makeSampleFiles(join(workplace.folder, 'files'), count, 4096);
  const daemon = workplace.start(target, { s3: { concurrency } });
  await daemon.ready;
  await sleep(2500);
  const passed = passThrough(workplace, files, 'latency');
  // The steady state: neither the first look at the folder nor the last move to the archive.
  const [from, to] = [Math.floor(count * 0.1), Math.floor(count * 0.9)];
  await reached(() => daemon.uploaded() >= from, 1);
  const [beganMs, atBegin] = [performance.now(), daemon.uploaded()];
  await reached(() => daemon.uploaded() >= to, 1);
  const filesPerSecond = ((daemon.uploaded() - atBegin) / (performance.now() - beganMs)) * 1000;
  await passed;
  await daemon.stop();
  const bareFilesPerSecond = await barePuts(target, concurrency, count / 2);
  return { filesPerSecond, most: (concurrency / latencyMs) * 1000, bareFilesPerSecond };
}

/** One request after the other on each connection, made once for all of them: how many are answered a second. */
async function barePuts({ url, caFile }: Target, concurrency: number, count: number): Promise<number> {
  const { host, hostname, port } = new URL(url);
  const options = { host: hostname, port: Number(port), ca: await readFile(caFile) };
  const head = `PUT /bench/bare HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4096\r\n\r\n`;
  const request = Buffer.concat([Buffer.from(head), Buffer.alloc(4096)]);
  const sockets = await Promise.all(
    Array.from({ length: concurrency }, async () => {
      const socket = connect(options).setNoDelay();
      await once(socket, 'secureConnect');
      return socket;
    }),
  );
  const beganMs = performance.now();
  let answered = 0;
  await new Promise<void>((resolve) => {
    for (const socket of sockets) {
      socket.on('data', () => {
        answered += 1;
        if (answered < count) socket.write(request);
        else resolve();
      });
      socket.write(request);
    }
  });
  const seconds = (performance.now() - beganMs) / 1000;
  for (const socket of sockets) socket.destroy();
  return answered / seconds;
}

export interface BacklogFigures {
  readonly count: number;
  /** From the start of the process, and from READY (negative: before it). */
  readonly firstUploadAfterStartMs: number;
  readonly firstUploadAfterReadyMs: number;
  readonly seconds: number;
  readonly peakRssMb: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  /** Files a second in each tenth of the backlog: level where it is linear. */
  readonly filesPerSecondByTenth: readonly number[];
  /** How long `status` took to be answered, asked each second from READY on. */
  readonly statusP50Ms: number;
  readonly statusMaxMs: number;
}

/** Files that are there when the daemon starts. */
export async function backlogCase(
  { workplace, target }: { workplace: Workplace; target: Target },
  count: number,
): Promise<BacklogFigures> {
  const files = await makeSampleFiles(join(workplace.folder, 'files'), count, 16);
  await rename(files.folder, join(workplace.inbox, 'backlog'));
  await sleep(2500);
  const daemon = workplace.start(target, { s3: { concurrency: 32 } });
  let readyAtMs = 0;
  void daemon.ready.then(() => {
    readyAtMs = performance.now();
  });
  const tenths: number[] = [];
  const recorded = new AbortController();
  const statusMs = daemon.ready.then(() => askStatus(workplace.controlSocket, recorded.signal));
  let lastAtMs = daemon.startedAtMs;
  for (let tenth = 1; tenth <= 10; tenth += 1) {
    const goal = Math.ceil((count * tenth) / 10);
    await reached(() => daemon.uploaded() >= goal, 20);
    const nowMs = performance.now();
    tenths.push((count / 10 / (nowMs - lastAtMs)) * 1000);
    lastAtMs = nowMs;
  }
  await reached(async () => (await workplace.rows()) >= count, 500);
  const seconds = (performance.now() - daemon.startedAtMs) / 1000;
  recorded.abort();
  const answersMs = await statusMs;
  const { peakRssMb } = daemon.usage();
  const { p99Ms, maxMs } = await daemon.stop();
  const firstAtMs = daemon.firstUploadAtMs() ?? Number.NaN;
  return {
    count,
    firstUploadAfterStartMs: firstAtMs - daemon.startedAtMs,
    firstUploadAfterReadyMs: firstAtMs - readyAtMs,
    seconds,
    peakRssMb,
    loopDelayP99Ms: p99Ms,
    loopDelayMaxMs: maxMs,
    filesPerSecondByTenth: tenths,
    statusP50Ms: median(answersMs),
    statusMaxMs: Math.max(...answersMs),
  };
}

/** Asks once a second until the signal is aborted; how long each answer took, in ms. */
async function askStatus(socket: string, signal: AbortSignal): Promise<number[]> {
  const answersMs: number[] = [];
  while (!signal.aborted) {
    const beganMs = performance.now();
    for await (const _answer of ask(socket, { command: 'status' }));
    answersMs.push(performance.now() - beganMs);
    await sleep(1000, undefined, { signal }).catch(() => undefined);
  }
  return answersMs;
}

export interface DropToRowFigures {
  readonly files: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Files renamed in, a hundred a second; from the rename to the transaction that recorded them (`recorded_at`). */
export async function dropToRowCase(
  { workplace, target }: { workplace: Workplace; target: Target },
  count: number,
): Promise<DropToRowFigures> {
  const perSecond = 100;
  const daemon = workplace.start(target, { dropFolder: { settleMs: 0 } });
  await daemon.ready;
  await sleep(1000);
  const droppedAt = new Map<string, number>();
  const began = performance.now();
  for (let n = 0; n < count; n += 1) {
    const name = `drop-${n}.bin`;
    await writeFile(join(workplace.folder, name), `content of ${n}`);
    await sleep(Math.max(0, began + (n * 1000) / perSecond - performance.now()));
    droppedAt.set(name, performance.timeOrigin + performance.now());
    await rename(join(workplace.folder, name), join(workplace.inbox, name));
  }
  const recorded = `path LIKE 'drop-%'`;
  await reached(async () => {
    const [row] = await workplace.query(`SELECT count(*) AS rows FROM dropledger.uploads WHERE ${recorded}`);
    return Number(row?.['rows']) >= count;
  });
  const rows = await workplace.query(
    `SELECT path, extract(epoch FROM recorded_at) * 1000 AS at FROM dropledger.uploads WHERE ${recorded}`,
  );
  await daemon.stop();
  const tookMs = rows
    .map((row) => Number(row['at']) - (droppedAt.get(String(row['path'])) ?? 0))
    .toSorted((a, b) => a - b);
  const quantile = (share: number) =>
    tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))] ?? Number.NaN;
  return { files: count, p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1) };
}
