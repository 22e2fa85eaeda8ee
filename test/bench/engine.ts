/**
 * The upload engine alone, without settling, journal and ledger: how fast, at what cost.
 *
 *     node test/bench/engine.ts --endpoint https://127.0.0.1:9900 --folder /tmp/files [--engine native] [--parallel 32]
 *
 * Uploads every file of the folder once and prints one line of JSON. The endpoint takes any key, the bucket is `bench`;
 * its CA is named by AWS_CA_BUNDLE. One process a run, so that peak memory and CPU are of that run.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import type { UploadNotes } from '../../src/model.ts';
import { createS3Store } from '../../src/s3/store-file.ts';
import { createNetwork } from '../../src/service/network.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { openTestFile } from '../support/open-test-file.ts';
import { recordingLog } from '../support/recording-log.ts';

const { values } = parseArgs({
  options: {
    endpoint: { type: 'string', default: 'http://127.0.0.1:9900' },
    folder: { type: 'string' },
    engine: { type: 'string', default: 'native' },
    parallel: { type: 'string', default: '32' },
    concurrency: { type: 'string', default: '8' },
    memory: { type: 'string', default: '64' },
  },
});
if (values.folder === undefined) throw new Error('--folder is missing');

const noNotes: UploadNotes = {
  storing: async () => {},
  refused: async () => {},
  multipartStarted: async () => {},
  partStored: async () => {},
  multipartGone: async () => {},
};

const { signal } = new AbortController();
await using network = await createNetwork({ env: process.env });
await using s3 = await createS3Store({
  engine: values.engine as 'native',
  bucket: 'bench',
  region: 'us-east-1',
  endpoint: values.endpoint,
  forcePathStyle: true,
  partSizeMiB: 8,
  concurrency: Number(values.concurrency),
  memoryMiB: Number(values.memory),
  checksums: 'send',
  credentials: async () => ({ accessKeyId: 'AKIDBENCH', secretAccessKey: 'secret' }),
  network,
  log: recordingLog(),
  userAgent: 'dropledger/bench',
});
const names = await readdir(values.folder);
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
const cpuBefore = process.cpuUsage();
const startedAt = performance.now();

let next = 0;
let bytes = 0;
async function worker(): Promise<void> {
  for (let name = names[next++]; name !== undefined; name = names[next++]) {
    await using file = await openTestFile(join(values.folder as string, name), pathFromText(name));
    const outcome = await s3.store(
      {
        file,
        key: `files/${name}`,
        contentType: 'application/octet-stream',
        metadata: {},
        onlyIfAbsent: true,
        earlierUnanswered: false,
        resume: undefined,
        notes: noNotes,
        onProgress() {},
      },
      signal,
    );
    if (outcome.kind !== 'stored') throw new Error(`${name}: ${outcome.kind}`);
    bytes += file.identity.size;
  }
}
await Promise.all(Array.from({ length: Number(values.parallel) }, worker));

const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(
  JSON.stringify({
    engine: values.engine,
    files: names.length,
    seconds: Number(seconds.toFixed(2)),
    mbPerSecond: Math.round(bytes / 1e6 / seconds),
    filesPerSecond: Math.round(names.length / seconds),
    cpuSeconds: Number(((user + system) / 1e6).toFixed(2)),
    peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    loopDelayP99Ms: Number((delay.percentile(99) / 1e6).toFixed(1)),
    loopDelayMaxMs: Number((delay.max / 1e6).toFixed(1)),
  }),
);
