import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ceph, cephMissing, startCeph } from '../support/ceph.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { type ReaderConfig, writeReaderConfig } from '../support/reader-config.ts';
import { createRecordedObjects, type RecordedObjects } from '../support/recorded-objects.ts';
import { runCommand } from '../support/run-command.ts';

const missing = cephMissing();
if (missing === undefined) {
  describe('ledger and bucket, compared on Ceph RGW', cephTests);
} else {
  test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`Ceph can't be started: ${missing}`, () => {
    expect.fail(missing);
  });
}

function cephTests(): void {
  const postgres = usePostgres();
  const bucket = 'records';
  const prefix = 'inbox/';
  let ceph: Ceph;
  let database: TestDatabase;
  let objects: RecordedObjects;
  let config: ReaderConfig;

  beforeAll(async () => {
    ceph = await startCeph({ writeOnlyPrefix: prefix });
    await ceph.createBucket(bucket);
    const { url, region, owner } = ceph;
    database = await postgres.createDatabase();
    objects = await createRecordedObjects({ url, region, bucket, prefix, credentials: owner, database });
    config = await writeReaderConfig(database, { bucket, prefix, region, endpoint: url });
    for (const path of ['a', 'b', 'c', 'dossier/é ü+%~.pdf', 'line\nbreak'])
      await objects.add(path, `content of ${path}`);
  });

  afterAll(async () => {
    await config?.[Symbol.asyncDispose]();
    await objects?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
    await ceph?.[Symbol.asyncDispose]();
  });

  const run = (args: readonly string[], { accessKeyId, secretAccessKey } = ceph.owner) => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    return runCommand([...args, '--config', config.file]);
  };

  test('everything is as the ledger says, objects as witnesses included', async () => {
    expect(await run(['verify', '--content'])).toMatchObject({
      code: 0,
      stdout: '✓ 5 objects are as the ledger says\n',
      stderr: '',
    });
    expect(await run(['ledger', 'verify-chain', '--anchors'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('5 rows in 1 chains, 4 objects as witnesses'),
    });
  });

  test('restore brings a file back; the daemon’s own identity may read nothing', async () => {
    const content = randomBytes(3_000_000);
    const row = await objects.add('large', content);
    const file = join(config.folder, 'large');
    expect(await run(['restore', row.id, '--to', file], ceph.writeOnly)).toMatchObject({ code: 77 });
    expect(await run(['restore', row.id, '--to', file])).toMatchObject({ code: 0 });
    expect(await readFile(file)).toEqual(content);
    expect(await run(['verify'], ceph.writeOnly)).toMatchObject({
      code: 77,
      stderr: expect.stringContaining('s3:ListBucket'),
    });
  });

  test('an object deleted, one replaced, and one that the ledger does not know', async () => {
    await objects.remove('inbox/a');
    await objects.put('inbox/b', 'other content');
    await objects.put('inbox/stranger', 'unknown');
    const { code, stdout } = await run(['verify', '--json']);
    expect(code).toBe(1);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(
      lines
        .slice(0, -1)
        .map(({ difference }) => `${difference.kind} ${difference.key}`)
        .sort(),
    ).toEqual(['missing inbox/a', 'replaced inbox/b', 'unknown inbox/stranger']);
  });
}
