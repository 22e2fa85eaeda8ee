import { appendFile, rename, truncate, utimes, writeFile } from 'node:fs/promises';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/service/errors.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import { openTestFile } from '../open-test-file.ts';
import { type EngineBench, partBytes, sha256 } from './engine-bench.ts';

/** What becomes of a file: an object right to the byte, or none. */
export function describeStoredFiles(bench: EngineBench): void {
  const { drop, stored, expectStored, leftovers } = bench;

  describe('what it stores', () => {
    it.each([
      ['an empty file', 0, 1],
      ['one byte', 1, 1],
      ['one byte less than a part', partBytes - 1, 1],
      ['exactly a part', partBytes, 1],
      ['one byte more than a part', partBytes + 1, 2],
      ['exactly two parts', 2 * partBytes, 2],
      ['many parts', 6 * partBytes + 12_345, 7],
    ])('is %s, byte for byte', async (_, size, partCount) => {
      const file = await drop(size);
      const outcome = await file.store();
      await expectStored(file);
      expect(outcome).toMatchObject({
        kind: 'stored',
        object: { bucket: bench.server.bucket, key: file.key, sha256: sha256(file.bytes), partCount },
      });
      expect(await leftovers(file.key)).toBe(0);
    });

    it('carries content type, metadata and a checksum that the store verified', async () => {
      const small = await drop(1000);
      const large = await drop(partBytes + 1);
      for (const file of [small, large]) {
        const outcome = await file.store();
        const silent = bench.differences.confirmsNothing === true;
        expect(outcome).toMatchObject({
          object: silent
            ? { checksumType: null, checksum: null }
            : { checksumType: 'CRC32', checksum: expect.any(String) },
        });
        const head = await bench.owner.send(new HeadObjectCommand({ Bucket: bench.server.bucket, Key: file.key }));
        expect(head).toMatchObject({
          ContentType: 'text/plain',
          Metadata: { origin: 'test' },
          ContentLength: file.bytes.length,
        });
        expect(outcome).toMatchObject({ object: { etag: head.ETag?.replaceAll('"', '') } });
      }
    });

    it.each([
      "a b+c&d=e?f#g%2Fh!'()*~",
      'ünïcödé/😀/e\u0301',
      'quote"<&>]]>/new\nline',
      `${'long/'.repeat(100)}end`,
      '-dash/--',
    ])('may be called %j', async (name) => {
      for (const size of [3, partBytes + 1]) {
        const file = await drop(size);
        const key = `${bench.engine}/${size}/${name}`;
        expect(await file.store({ key })).toMatchObject({ kind: 'stored', object: { key } });
        await expectStored({ ...file, key });
      }
    });

    it('is noted before it is announced to S3', async () => {
      const file = await drop(2 * partBytes);
      let notesAtComplete: readonly string[] = [];
      let notesAtFirstPart: readonly string[] = [];
      bench.proxy.fresh(({ operation }) => {
        if (operation === 'UploadPart' && notesAtFirstPart.length === 0) notesAtFirstPart = [...file.notes.written];
        if (operation === 'CompleteMultipartUpload') notesAtComplete = [...file.notes.written];
        return undefined;
      });
      await file.store();
      expect(notesAtFirstPart).toContain('started');
      expect(notesAtComplete.at(-1)).toBe('storing');
    });
  });

  describe('a file that changes', () => {
    const changes = [
      ['grows', (path: string) => appendFile(path, 'more')],
      ['shrinks', (path: string) => truncate(path, 100)],
      ['is touched', (path: string) => utimes(path, new Date(), new Date(0))],
      [
        'is replaced',
        async (path: string) => {
          await writeFile(`${path}.new`, 'another');
          await rename(`${path}.new`, path);
        },
      ],
    ] as const;

    it.each(changes)('while its parts are read (%s) is not stored', async (_, change) => {
      const file = await drop(4 * partBytes);
      bench.proxy.fresh(async ({ operation, part, attempt }) => {
        if (operation === 'UploadPart' && part === 1 && attempt === 1) await change(file.path);
        return undefined;
      });
      expect(await file.store()).toEqual({ kind: 'changed' });
      expect(await stored(file.key)).toBeUndefined();
      expect(await leftovers(file.key)).toBe(0);
      expect(file.notes.progress()).toBeUndefined();
      expect(bench.proxy.requests.some(({ operation }) => operation === 'CompleteMultipartUpload')).toBe(false);
    });

    it.each(changes)('before it is put (%s) is not stored', async (_, change) => {
      const file = await drop(1000);
      await using opened = await openTestFile(file.path, pathFromText('file'));
      await change(file.path);
      expect(await file.store({ file: opened })).toEqual({ kind: 'changed' });
      expect(bench.proxy.requests).toHaveLength(0);
    });
  });

  describe('a key that is taken', () => {
    const foreign = async (key: string) => {
      await bench.owner.send(new PutObjectCommand({ Bucket: bench.server.bucket, Key: key, Body: 'somebody else’s' }));
    };

    it('by a foreign object is left alone (small file)', async () => {
      const file = await drop(1000);
      await foreign(file.key);
      if (bench.differences.noConditionalPuts) {
        const error = await file.store({ onlyIfAbsent: true }).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(ConfigError);
        expect(error).toMatchObject({ hint: expect.stringContaining('s3.conditionalWrites') });
        expect((await stored(file.key))?.toString()).toBe('somebody else’s');
        return;
      }
      expect(await file.store()).toEqual({
        kind: 'key-taken',
        ours: 'no',
        sha256: sha256(file.bytes),
        partCount: 1,
      });
      expect((await stored(file.key))?.toString()).toBe('somebody else’s');
      expect(file.notes.written).toEqual(['storing', 'refused']);
    });

    it('by a foreign object is left alone (large file)', async () => {
      const file = await drop(partBytes + 1);
      await foreign(file.key);
      const outcome = await file.store();
      if (bench.differences.overwritesAtComplete) {
        expect(outcome.kind).toBe('stored');
        return;
      }
      expect(outcome).toMatchObject({ kind: 'key-taken', ours: 'no', partCount: 2 });
      expect((await stored(file.key))?.toString()).toBe('somebody else’s');
      expect(await leftovers(file.key)).toBe(0);
      expect(file.notes.unanswered).toBe(false);
      expect(file.notes.progress()).toBeUndefined();
    });

    it.each([1000, partBytes + 1])('is replaced where that is asked for (%i bytes)', async (size) => {
      const file = await drop(size);
      await foreign(file.key);
      expect(await file.store({ onlyIfAbsent: false })).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });
  });
}
