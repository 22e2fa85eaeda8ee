import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type S3Endpoint, startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { writeReaderConfig } from '../support/reader-config.ts';
import { createRecordedObjects, type RecordedObjects } from '../support/recorded-objects.ts';
import { runCommand } from '../support/run-command.ts';

const postgres = usePostgres();
const region = 'eu-west-1';
const prefix = 'inbox/';
const owner = { accessKeyId: 'AKIAOWNER', secretAccessKey: 'owner-secret', role: 'owner' } as const;
const uploader = {
  accessKeyId: 'AKIAUPLOADER',
  secretAccessKey: 'uploader-secret',
  role: 'write-only',
  prefix,
} as const;

let folder: string;
let endpoint: S3Endpoint;
/** Of those that the endpoint knows by then. */
let buckets = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dropledger-verify-'));
  const names = Array.from({ length: 12 }, (_, number) => `records-${number}`);
  endpoint = await startS3Endpoint({
    directory: join(folder, 's3'),
    region,
    buckets: names,
    credentials: [owner, uploader],
  });
});

afterAll(async () => {
  await endpoint[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Place extends AsyncDisposable {
  readonly bucket: string;
  readonly database: TestDatabase;
  readonly objects: RecordedObjects;
  /** Runs it as somebody who may read the bucket. */
  run(args: readonly string[], as?: { accessKeyId: string; secretAccessKey: string }): ReturnType<typeof runCommand>;
  differences(...args: string[]): Promise<string[]>;
}

async function openPlace(): Promise<Place> {
  await using opened = new AsyncDisposableStack();
  const bucket = `records-${buckets++}`;
  const database = opened.use(await postgres.createDatabase());
  const place = { url: endpoint.url, region, bucket, prefix, credentials: owner, database };
  const objects = opened.use(await createRecordedObjects(place));
  const config = opened.use(await writeReaderConfig(database, { bucket, prefix, region, endpoint: endpoint.url }));
  const run: Place['run'] = (args, { accessKeyId, secretAccessKey } = owner) => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    return runCommand([...args, '--config', config.file]);
  };
  const rooms = opened.move();
  return {
    ...{ bucket, database, objects, run },
    async differences(...args) {
      const { code, stdout, stderr } = await run(['verify', '--json', ...args]);
      expect(stderr).toBe('');
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(lines.at(-1)).toHaveProperty('checked');
      expect(code).toBe(lines.length > 1 ? 1 : 0);
      return lines
        .slice(0, -1)
        .map(({ difference }) => `${difference.kind} ${difference.key}`)
        .sort();
    },
    [Symbol.asyncDispose]: () => rooms.disposeAsync(),
  };
}

test('what is as it was stored passes, both ways, by heads and by content', async () => {
  await using place = await openPlace();
  const { objects } = place;
  for (const path of ['a.pdf', 'dossier/é ü+%.pdf', 'dossier/line\nbreak', 'empty'])
    await objects.add(path, path === 'empty' ? '' : path);
  for (const args of [[], ['--content'], ['--sample', '3'], ['--since', '1h'], ['--path', 'dossier/']]) {
    expect(await place.differences(...args), args.join(' ')).toEqual([]);
  }
  expect((await place.run(['verify'])).stdout).toContain('4 objects are as the ledger says');
});

test('an object deleted, one replaced, and one that the ledger does not know are each named', async () => {
  await using place = await openPlace();
  const { objects } = place;
  for (const path of ['a', 'b', 'c', 'd']) await objects.add(path, `content of ${path}`);
  await objects.remove('inbox/a');
  await objects.put('inbox/b', 'something else');
  await objects.put('inbox/stranger', 'unknown');
  await objects.put('elsewhere/unrelated', 'not under the prefix');
  expect(await place.differences()).toEqual(['missing inbox/a', 'replaced inbox/b', 'unknown inbox/stranger']);
  expect(await place.differences('--sample', '100')).toEqual([
    'missing inbox/a',
    'replaced inbox/b',
    'unknown inbox/stranger',
  ]);
  expect(await place.differences('--since', '1h')).toEqual(['missing inbox/a', 'replaced inbox/b']);
  expect((await place.run(['verify'])).stdout).toContain('1 missing');
});

test('bytes that were changed under the same size and ETag are found by --content alone', async () => {
  await using place = await openPlace();
  const row = await place.objects.add('a', 'true');
  const etag = await place.objects.put('inbox/a', 'fake', { 'dropledger-file-id': row.file_id });
  await place.objects.add('b', 'untouched');
  // As if the store had told the new ETag when the row was made.
  await place.database.query(`ALTER TABLE dropledger.uploads DISABLE TRIGGER append_only`);
  await place.database.query(`UPDATE dropledger.uploads SET etag = $1 WHERE id = $2`, [etag, row.id]);
  expect(await place.differences()).toEqual([]);
  expect(await place.differences('--content')).toEqual(['content inbox/a']);
});

test('where uploads overwrite, the newest row tells what is there', async () => {
  await using place = await openPlace();
  await place.objects.add('a', 'first');
  await place.objects.add('a', 'second');
  expect(await place.differences('--content')).toEqual([]);
  expect(await place.differences('--since', '1h')).toEqual([]);
});

test('an S3 Inventory takes the place of the listing', async () => {
  await using place = await openPlace();
  const { objects, bucket } = place;
  await objects.add('a b+é', 'one');
  const gone = await objects.add('gone', 'two');
  await objects.add('listed', 'three');
  await objects.remove('inbox/gone');
  await objects.remove('inbox/listed');
  const csv = objects.rows
    .filter(({ id }) => id !== gone.id)
    .map(({ object_key, size_bytes, etag }) => [
      bucket,
      encodeURIComponent(object_key ?? ''),
      size_bytes,
      '2026-03-31T16:00:03.000Z',
      etag,
    ])
    .concat([[bucket, 'inbox%2Fstranger', 5, '2026-03-31T16:00:03.000Z', 'abc']])
    .map((fields) => `${fields.map((field) => `"${field}"`).join(',')}\n`)
    .join('');
  const data = gzipSync(csv);
  await mkdir(join(folder, 'inventory/data'), { recursive: true });
  const manifest = {
    ...{ sourceBucket: bucket, version: '2016-11-30', creationTimestamp: String(Date.now() + 1000), fileFormat: 'CSV' },
    fileSchema: 'Bucket, Key, Size, LastModifiedDate, ETag',
    files: [
      { key: 'reports/data/1.csv.gz', size: data.length, MD5checksum: createHash('md5').update(data).digest('hex') },
    ],
  };
  const file = join(folder, 'inventory/manifest.json');
  await writeFile(file, JSON.stringify(manifest));
  await writeFile(join(folder, 'inventory/data/1.csv.gz'), data);
  expect(await place.differences('--inventory', file)).toEqual(['missing inbox/gone', 'unknown inbox/stranger']);

  await writeFile(join(folder, 'inventory/data/1.csv.gz'), gzipSync('cut'));
  expect(await place.run(['verify', '--inventory', file])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('MD5'),
  });
  expect(await place.run(['verify', '--inventory', file, '--sample', '3'])).toMatchObject({ code: 64 });
});

test('whoever may only upload is told what reading needs', async () => {
  await using place = await openPlace();
  const row = await place.objects.add('a', 'one');
  for (const args of [
    ['verify'],
    ['verify', '--sample', '1'],
    ['restore', row.id, '--to', join(folder, 'x')],
    ['ledger', 'verify-chain', '--anchors'],
  ])
    expect(await place.run(args, uploader), args.join(' ')).toMatchObject({
      code: 77,
      stderr: expect.stringContaining('s3:GetObject'),
    });
});

test('objects bear witness against a chain that was cut, or made anew', async () => {
  await using place = await openPlace();
  const { objects, database } = place;
  for (let number = 0; number < 6; number += 1) await objects.add(`file-${number}`, `content ${number}`);
  await objects.put('inbox/unrelated', 'without metadata');
  const anchors = async (...args: string[]) => {
    const { stdout, code } = await place.run(['ledger', 'verify-chain', '--anchors', '--json', ...args]);
    const { anchorFindings, findingCount } = JSON.parse(stdout) as {
      anchorFindings: { kind: string; key: string }[];
      findingCount: number;
    };
    expect(code).toBe(anchorFindings.length + findingCount === 0 ? 0 : 1);
    return [findingCount, ...anchorFindings.map(({ kind, key }) => `${kind} ${key}`).sort()];
  };
  expect(await anchors()).toEqual([0]);
  expect(await anchors('--sample', '2')).toEqual([0]);

  // The end is cut off: what is left is a whole chain.
  await database.query('ALTER TABLE dropledger.uploads DISABLE TRIGGER append_only');
  await database.query('DELETE FROM dropledger.uploads WHERE seq > 4');
  expect(await anchors()).toEqual([0, 'cut inbox/file-5', 'unrecorded inbox/file-4']);
  expect(await anchors('--sample', '2')).toContain('cut inbox/file-5');

  // The second row is altered, and all from there on is computed anew.
  await database.query('DELETE FROM dropledger.uploads');
  const { rowHash } = await import('../../src/ledger/row-hash.ts');
  let previous_hash: string | null = null;
  for (const { row_hash, ...row } of objects.rows) {
    const forged = { ...row, previous_hash, ...(row.seq === 2 && { file_owner: 'mallory' }) };
    previous_hash = rowHash(forged);
    await insert(database, { ...forged, row_hash: previous_hash });
  }
  expect(await anchors()).toEqual([
    0,
    'rewritten inbox/file-2',
    'rewritten inbox/file-3',
    'rewritten inbox/file-4',
    'rewritten inbox/file-5',
  ]);
  expect((await place.run(['ledger', 'verify-chain', '--anchors'])).stdout).toContain('computed anew');
});

const insert = (database: TestDatabase, row: object) =>
  database.query('INSERT INTO dropledger.uploads SELECT (json_populate_record(NULL::dropledger.uploads, $1)).*', [
    { ...row, recorded_at: new Date() },
  ]);
