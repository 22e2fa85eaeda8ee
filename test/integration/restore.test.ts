import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type S3Endpoint, startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { type ReaderConfig, writeReaderConfig } from '../support/reader-config.ts';
import { createRecordedObjects, type RecordedObjects } from '../support/recorded-objects.ts';
import { runCommand } from '../support/run-command.ts';

const postgres = usePostgres();
const region = 'eu-west-1';
const bucket = 'records';
const prefix = 'inbox/';
const owner = { accessKeyId: 'AKIAOWNER', secretAccessKey: 'owner-secret', role: 'owner' } as const;

let folder: string;
let endpoint: S3Endpoint;
let relay: Relay;
let database: TestDatabase;
let objects: RecordedObjects;
let config: ReaderConfig;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dropledger-restore-'));
  endpoint = await startS3Endpoint({ directory: join(folder, 's3'), region, buckets: [bucket], credentials: [owner] });
  relay = await startRelay(endpoint.port);
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: owner.accessKeyId, AWS_SECRET_ACCESS_KEY: owner.secretAccessKey });
});

afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  database = await postgres.createDatabase();
  objects = await createRecordedObjects({ url: endpoint.url, region, bucket, prefix, credentials: owner, database });
  config = await writeReaderConfig(database, { bucket, prefix, region, endpoint: `http://127.0.0.1:${relay.port}` });
  relay.cutAfterBytes = undefined;
  relay.bytes = 0;
});

afterEach(async () => {
  await config[Symbol.asyncDispose]();
  await objects[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Each connection is cut when so many bytes of answers have come through. */
  cutAfterBytes: number | undefined;
  /** Of answers, over all. */
  bytes: number;
}

async function startRelay(to: number): Promise<Relay> {
  const server = createServer((client) => {
    const behind = connect(to, '127.0.0.1');
    let left = relay.cutAfterBytes ?? Number.POSITIVE_INFINITY;
    client.pipe(behind);
    behind.on('data', (bytes) => {
      relay.bytes += bytes.length;
      left -= bytes.length;
      if (left > 0) client.write(bytes);
      else client.end(bytes.subarray(0, bytes.length + left));
    });
    for (const [one, other] of [
      [client, behind],
      [behind, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const relay: Relay = {
    ...{ port, cutAfterBytes: undefined, bytes: 0 },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return relay;
}

const restore = (...args: string[]) => runCommand(['restore', ...args, '--config', config.file]);
const inFolder = (name: string) => join(config.folder, name);

test('a file comes back under its name, with its bytes and its time', async () => {
  const row = await objects.add('dossier/back\\\\slash é.bin', randomBytes(1000));
  const { code, stdout } = await restore(row.id.slice(0, 20), '--to', config.folder);
  expect(code).toBe(0);
  expect(stdout).toContain(row.sha256);
  const restored = inFolder('back\\slash é.bin');
  expect((await stat(restored)).mtime.toISOString()).toBe(row.modified_at);
  expect((await readFile(restored)).length).toBe(1000);
  expect((await readdir(config.folder)).sort()).toEqual(['back\\slash é.bin', 'config.json']);
});

test('nothing is overwritten unless it is forced', async () => {
  const row = await objects.add('a', 'restored');
  await writeFile(inFolder('a'), 'mine');
  expect(await restore(row.id, '--to', inFolder('a'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('--force'),
  });
  expect(await readFile(inFolder('a'), 'utf8')).toBe('mine');
  expect(await restore(row.id, '--to', inFolder('a'), '--force')).toMatchObject({ code: 0 });
  expect(await readFile(inFolder('a'), 'utf8')).toBe('restored');
});

test('a connection that breaks is taken up where it broke', async () => {
  const content = randomBytes(1_000_000);
  const row = await objects.add('a', content);
  relay.cutAfterBytes = 300_000;
  expect(await restore(row.id, '--to', inFolder('a'))).toMatchObject({ code: 0, stderr: '' });
  expect(await readFile(inFolder('a'))).toEqual(content);
  expect(relay.bytes).toBeLessThan(1_400_000);
});

test('what an earlier run left is used, and found out where it was spoilt', async () => {
  const content = randomBytes(1_000_000);
  const row = await objects.add('a', content);
  const part = inFolder(`.a.${row.id}.part`);
  await writeFile(part, content.subarray(0, 900_000));
  expect(await restore(row.id, '--to', inFolder('a'))).toMatchObject({ code: 0 });
  expect(await readFile(inFolder('a'))).toEqual(content);
  expect(relay.bytes).toBeLessThan(300_000);

  await rm(inFolder('a'));
  await writeFile(part, randomBytes(900_000));
  expect(await restore(row.id, '--to', inFolder('a'))).toMatchObject({ code: 0 });
  expect(await readFile(inFolder('a'))).toEqual(content);
});

test('an object that is not what was uploaded is not restored', async () => {
  const row = await objects.add('a', 'true');
  await objects.put('inbox/a', 'fake');
  expect(await restore(row.id, '--to', inFolder('a'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('replaced'),
  });
  const unknownEtag = await objects.add('b', 'true', { etag: null });
  await objects.put('inbox/b', 'fake');
  const refused = await restore(unknownEtag.id, '--to', inFolder('b'));
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('not what was uploaded') });
  await objects.remove('inbox/a');
  expect(await restore(row.id, '--to', inFolder('a'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is not there'),
  });
  expect(await readdir(config.folder)).toEqual(['config.json']);
});

test('a duplicate is restored from the object it repeats; a failure never was one', async () => {
  const original = await objects.add('a', 'content');
  const duplicate = { status: 'duplicate', duplicate_of: original.id, etag: null, sha256: original.sha256 } as const;
  const again = await objects.add('copy', 'content', { ...duplicate, object_key: 'inbox/a' });
  expect(await restore(again.id, '--to', config.folder)).toMatchObject({ code: 0 });
  expect(await readFile(inFolder('copy'), 'utf8')).toBe('content');
  const failed = await objects.add('b', '', { status: 'failed', error: 'too big' });
  expect(await restore(failed.id)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('never uploaded: too big'),
  });
});
