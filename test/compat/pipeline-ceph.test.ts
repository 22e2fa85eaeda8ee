import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pathFromBytes } from '../../src/service/path-bytes.ts';
import { type Ceph, cephMissing, startCeph } from '../support/ceph.ts';
import type { Daemon } from '../support/daemon.ts';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import type { Store } from '../support/daemon-store.ts';
import { makeWorkplace, makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';
import { makeSampleTree, type SampleFile } from '../support/sample-tree.ts';

/** The whole way, on real input, against a server that nobody here wrote; compared by programs that nobody here wrote. */
const run = promisify(execFile);
const mebibyte = 2 ** 20;
const patienceMs = 480_000;

const missing = cephMissing() ?? (await rcloneMissing());

async function rcloneMissing(): Promise<string | undefined> {
  return run('rclone', ['version']).then(
    () => undefined,
    () => 'not on the PATH: rclone (Debian: apt-get install rclone)',
  );
}

describe.skipIf(missing !== undefined)('a tree of hostile names, copied into the folder, against Ceph RGW', () => {
  const postgres = usePostgres();
  let ceph: Ceph;
  beforeAll(async () => {
    ceph = await startCeph({ writeOnlyPrefix: 'in/' });
  });
  afterAll(() => ceph?.[Symbol.asyncDispose]());

  const makePlace = async (bucket: string): Promise<Workplace> => {
    await ceph.createBucket(bucket);
    const { url, region, owner, writeOnly } = ceph;
    const store: Store = { url, region, bucket, prefix: 'in/', owner, writer: writeOnly };
    return makeWorkplaceAt(store, { postgres, config: { dropFolder: { settleMs: 1000, rescanSeconds: 5 } } });
  };

  test('2,000 files in 200 folders, up to 1 GiB', async () => {
    await using place = await makePlace('once');
    const files = await noteTree(place, { files: 2000, folders: 200, largest: 1024 * mebibyte });
    await place.start();
    const seconds = await timed(async () => {
      await copyTree(place);
      await allDone(place, { patienceMs });
    });
    tell(`2,000 files, ${gibibytes(files)} GiB`, files.length, seconds);
    await expectAllEqual(place);
  });

  test('the same, with kill -9 again and again', async () => {
    await using place = await makePlace('killed');
    const files = await noteTree(place, { files: 2000, folders: 200, largest: 200 * mebibyte });
    const copied = copyTree(place);
    const seconds = await timed(async () => {
      for (let kills = 0; kills < 4; kills += 1) {
        const daemon = await place.start();
        await sleep(Math.random() * 1000);
        await daemon.kill();
      }
      await copied;
      await place.start();
      await allDone(place, { patienceMs });
    });
    tell(`2,000 files, ${gibibytes(files)} GiB, four times killed`, files.length, seconds);
    await expectAllEqual(place);
  });
});

/** 60,000 files, which take a minute and a half: DROPLEDGER_FILES_IN_A_FOLDER=200. */
const filesInAFolder = Number(process.env['DROPLEDGER_FILES_IN_A_FOLDER'] ?? 40);

describe('many files', () => {
  const postgres = usePostgres();

  test('in 300 new folders, copied by cp -r while the daemon runs: none missing, none twice', async () => {
    await using place = await makeWorkplace({
      postgres,
      config: { dropFolder: { settleMs: 1000, rescanSeconds: 10 } },
    });
    const source = join(place.folder, 'source');
    for (let folder = 0; folder < 300; folder += 1) await fillFolder(join(source, `folder ${folder}`), filesInAFolder);
    for (const [path, sha256] of await sha256Sums(source)) {
      place.note({ path, size: Buffer.byteLength(path), sha256, rejected: undefined });
    }
    const daemon = await place.start();
    const seconds = await timed(async () => {
      await copyTree(place);
      await allDone(place, { patienceMs });
    });
    tell(`small files, ${await peakMemoryMiB(daemon)} MiB at most`, place.drops.length, seconds);
    await expectInvariants(place, { byteForByte: false });
  }, 600_000);
});

/** Each file's content is its path: what is stored under a wrong name is found out. */
async function fillFolder(folder: string, files: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const name = folder.slice(folder.lastIndexOf('/') + 1);
  for (let file = 0; file < files; file += 1) await writeFile(join(folder, `${file}.txt`), `${name}/${file}.txt`);
}

async function noteTree(
  place: Workplace,
  options: { files: number; folders: number; largest: number },
): Promise<SampleFile[]> {
  const source = join(place.folder, 'source');
  const files = await makeSampleTree(source, { ...options, prefix: place.store.prefix });
  const sums = new Map(await sha256Sums(source));
  for (const { path, size, rejected } of files) {
    place.note({ path, size, rejected, sha256: sums.get(path) ?? 'sha256sum does not know it' });
  }
  return files;
}

/** What `sha256sum` says of every file below the folder. */
async function sha256Sums(folder: string): Promise<[SampleFile['path'], string][]> {
  const { stdout } = await run('sh', ['-c', 'find . -type f -print0 | xargs -0 sha256sum -z'], {
    cwd: folder,
    encoding: 'buffer',
    maxBuffer: 2 ** 30,
  });
  return stdout
    .toString('latin1')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => [pathFromBytes(Buffer.from(line.slice(64 + '  ./'.length), 'latin1')), line.slice(0, 64)]);
}

const copyTree = async ({ folder, inbox }: Workplace): Promise<void> => {
  await run('cp', ['-r', `${folder}/source/.`, inbox]); // join() would drop the dot
};

/** The archive and the bucket are equal by rclone's reckoning, byte for byte and both ways; and all the rest is right. */
async function expectAllEqual(place: Workplace): Promise<void> {
  const { store, archive } = place;
  const rclone = spawn(
    'rclone',
    [
      'check',
      '--download',
      '--no-unicode-normalization',
      '--checkers',
      '16',
      '--fast-list',
      archive,
      `ceph:${store.bucket}/${store.prefix}`,
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        HOME: place.home,
        RCLONE_CONFIG: '/dev/null',
        RCLONE_CONFIG_CEPH_TYPE: 's3',
        RCLONE_CONFIG_CEPH_PROVIDER: 'Ceph',
        RCLONE_CONFIG_CEPH_LIST_URL_ENCODE: 'true', // XML has no U+0001
        RCLONE_CONFIG_CEPH_ENDPOINT: store.url,
        RCLONE_CONFIG_CEPH_ACCESS_KEY_ID: store.owner.accessKeyId,
        RCLONE_CONFIG_CEPH_SECRET_ACCESS_KEY: store.owner.secretAccessKey,
      },
    },
  );
  let said = '';
  rclone.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = await once(rclone, 'close');
  const accepted = place.drops.filter(({ rejected }) => rejected === undefined).length;
  expect(said).toContain(' 0 differences found');
  expect(said).toContain(` ${accepted} matching files`);
  expect(code, said).toBe(0);
  await expectInvariants(place, { byteForByte: false });
}

async function peakMemoryMiB({ pid }: Daemon): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024);
}

async function timed(act: () => Promise<void>): Promise<number> {
  const since = performance.now();
  await act();
  return (performance.now() - since) / 1000;
}

const gibibytes = (files: readonly SampleFile[]) =>
  (files.reduce((sum, { size }) => sum + size, 0) / 2 ** 30).toFixed(2);

const tell = (what: string, files: number, seconds: number) =>
  process.stdout.write(
    `${what}: ${seconds.toFixed(1)} s from cp to the last archived file, ${Math.round(files / seconds)} files/s\n`,
  );

if (missing !== undefined) {
  test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`can't be compared: ${missing}`, () => {
    expect.fail(missing);
  });
}
