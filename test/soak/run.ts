/**
 * The soak: steady drops for a long time; what the daemon holds on to must not grow.
 *
 *     npm run test:soak -- --minutes 60 --rate 10     so many files a second, by the clock
 *     npm run test:soak -- --hours 24 --rate 1        the files that so many hours bring, as fast as they are taken
 *
 * Prints the curve, and fails where it rises beyond noise, or where a file has no row in the end.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { usageOf } from '../bench/process-usage.ts';
import { filesIn } from '../support/daemon-files.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { startTestPostgres } from '../support/postgres.ts';
import { curveText, growthIn, journalBytesAFile, type Sample } from './curve.ts';
import { journalBytes, stateOf } from './process-state.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    hours: { type: 'string' },
    rate: { type: 'string' },
  },
});
const hours = values.hours === undefined ? undefined : Number(values.hours);
const filesASecond = Number(values.rate ?? (hours === undefined ? 10 : 1));
const durationMs = Number(values.minutes) * 60_000;
if (!(filesASecond > 0) || !(durationMs > 0) || (hours !== undefined && !(hours > 0))) {
  console.error('--minutes, --hours and --rate are numbers above 0');
  process.exit(64);
}
const filesAnHour = filesASecond * 3600;
/** Undefined where the clock says when it is over. */
const wantedFiles = hours === undefined ? undefined : Math.ceil(hours * filesAnHour);

const folders = 20;
/** At the greatest speed: so many files may wait in the folder. */
const mostWaiting = 2000;
const drainMs = 300_000;

await using postgres = await startTestPostgres();
await using place = await makeWorkplace({
  postgres,
  onDisk: true,
  config: { dropFolder: { settleMs: 2000, rescanSeconds: 30 } },
});
const outside = join(place.folder, 'outside');
await mkdir(outside);
for (let folder = 0; folder < folders; folder += 1) await mkdir(join(place.inbox, `in ${folder}`));
const daemon = await place.start();
const beganMs = performance.now();
const samples: Sample[] = [];
let dropped = 0;

const recorded = async (): Promise<number> =>
  (await place.database.query('SELECT count(*)::int AS count FROM dropledger.uploads')).rows[0].count;

async function drop(): Promise<void> {
  dropped += 1;
  const staged = join(outside, String(dropped));
  await writeFile(staged, `file ${dropped} `.repeat(1 + (dropped % 1000)));
  await rename(staged, join(place.inbox, `in ${dropped % folders}`, `${dropped}.txt`));
}

async function sample(files: number): Promise<void> {
  samples.push({
    ...stateOf(daemon.pid),
    ...(hours !== undefined && { hour: files / filesAnHour }),
    seconds: (performance.now() - beganMs) / 1000,
    files,
    journalMb: journalBytes(String(place.config.journal?.path)) / 1e6,
    cpuSeconds: usageOf(daemon.pid)?.cpuSeconds ?? 0,
  });
}

const isOver = (): boolean =>
  wantedFiles === undefined ? performance.now() - beganMs >= durationMs : dropped >= wantedFiles;

/** At an even pace, whatever the clock of this process missed is made up for. */
async function dropSteadily(): Promise<void> {
  while (!isOver()) {
    const due = ((performance.now() - beganMs) / 1000) * filesASecond;
    while (dropped < due && !isOver()) await drop();
    await sleep(1000 / filesASecond);
  }
}

async function dropAsFastAsTaken(): Promise<void> {
  while (!isOver()) {
    const room = mostWaiting - (dropped - (await recorded()));
    for (let file = 0; file < room && !isOver(); file += 1) await drop();
    if (room <= 0) await sleep(20);
  }
}

/** By the clock at even intervals; else four times in each of the hours. */
const everyMs = hours === undefined ? Math.max(1000, durationMs / 240) : 250;
const everyFiles = hours === undefined ? 0 : filesAnHour / 4;
let isSampling = true;
const sampling = (async () => {
  for (let due = 0; isSampling; ) {
    const files = await recorded();
    if (files >= due) {
      await sample(files);
      due = (Math.floor(files / everyFiles) + 1) * everyFiles || 0;
    }
    await sleep(everyMs);
  }
})();
await (hours === undefined ? dropSteadily() : dropAsFastAsTaken());
isSampling = false;
await sampling;
const drainedUntil = Date.now() + drainMs;
while (((await recorded()) < dropped || (await filesIn(place.inbox)).length > 0) && Date.now() < drainedUntil) {
  await sleep(200);
}
const seconds = (performance.now() - beganMs) / 1000;

const wrong = growthIn(samples);
const rows = await recorded();
if (rows !== dropped) wrong.push(`${rows} rows for ${dropped} files`);
if ((await filesIn(place.archive)).length !== dropped) wrong.push('not every file is in the archive');
const complaints = daemon.lines.filter(({ level }) => level === 'warning' || level === 'error');
if (complaints.length > 0) wrong.push(`${complaints.length} complaints, such as ${JSON.stringify(complaints[0])}`);
daemon.signal('SIGTERM');
await daemon.exited;

console.log(curveText(samples));
console.log(
  `${dropped} files in ${seconds.toFixed(0)} s (${(dropped / seconds).toFixed(1)} a second), ` +
    `${journalBytesAFile(samples).toFixed(0)} bytes of journal a file, ${daemon.lines.length} log lines`,
);
for (const what of wrong) console.log(`✗ ${what}`);
if (wrong.length === 0) console.log('✓ nothing grows');
process.exitCode = wrong.length === 0 ? 0 : 1;
