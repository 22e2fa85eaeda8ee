import { createHash, randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { StoreOutcome, StoreRequest } from '../../src/model.ts';
import { createS3Client } from '../../src/s3/client.ts';
import { createS3Store, type S3Store, type S3StoreOptions } from '../../src/s3/store-file.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../src/service/errors.ts';
import { createNetwork, type Network } from '../../src/service/network.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { openTestFile } from './open-test-file.ts';
import { recordingLog } from './recording-log.ts';
import { type RecordedNotes, recordNotes } from './upload-notes.ts';

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface EngineServer extends AsyncDisposable {
  readonly url: string;
  readonly bucket: string;
  /** May do everything: looks at what became of it. */
  readonly owner: Keys;
  /** May put and abort, nothing else: what the engine has. */
  readonly writeOnly: Keys;
}

/** What a server does otherwise than S3, each asserted. */
export interface EngineDifferences {
  /** It confirms no checksums. */
  readonly confirmsNothing?: boolean;
  /** `If-None-Match` at Complete is ignored: a foreign object is replaced. */
  readonly overwritesAtComplete?: boolean;
}

const partBytes = 5 * 2 ** 20;
const engines = ['native', 'lib-storage'] as const;

/** What both engines owe to whoever drops a file, on any server: one object, right to the byte, or none and a reason. */
export function describeEngines(
  name: string,
  start: () => Promise<EngineServer>,
  differences: EngineDifferences = {},
): void {
  describe.each(engines)(`${name}: %s`, (engine) => {
    let server: EngineServer;
    let proxy: FaultProxy;
    let network: Network;
    let ownerNetwork: Network;
    let owner: S3Client;
    let folder: string;
    let s3: S3Store;
    let keyCount = 0;
    const log = recordingLog();

    const options = (): S3StoreOptions => ({
      engine,
      bucket: server.bucket,
      region: 'us-east-1',
      endpoint: proxy.url,
      forcePathStyle: true,
      partSizeMiB: 5,
      concurrency: 4,
      memoryMiB: 40,
      checksums: 'send',
      credentials: async () => server.writeOnly,
      network,
      log,
      userAgent: 'dropledger/test',
      patience: { attempts: 3, baseMs: 1, capMs: 5 },
    });

    beforeAll(async () => {
      server = await start();
      proxy = await startFaultProxy(server.url);
      network = await createNetwork({ env: {} });
      ownerNetwork = await createNetwork({ env: {} });
      owner = createS3Client({
        region: 'us-east-1',
        endpoint: server.url,
        forcePathStyle: true,
        credentials: async () => server.owner,
        network: ownerNetwork,
      });
      folder = await mkdtemp(join(tmpdir(), 'dropledger-engine-'));
      s3 = await createS3Store(options());
    });

    afterEach(async () => {
      // the proxy learns a little later that a client has gone
      await expect.poll(() => proxy.open, { message: 'no request may outlive its upload' }).toBe(0);
      proxy.fresh();
    });

    afterAll(async () => {
      await s3[Symbol.asyncDispose]();
      owner.destroy();
      await network[Symbol.asyncDispose]();
      await ownerNetwork[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    interface Dropped {
      readonly path: string;
      readonly bytes: Buffer;
      readonly key: string;
      readonly notes: RecordedNotes;
      /** Opens the file as it is now and stores it. */
      store(change?: Partial<StoreRequest>, signal?: AbortSignal, by?: S3Store): Promise<StoreOutcome>;
    }

    async function drop(size: number): Promise<Dropped> {
      keyCount += 1;
      const key = `${engine}/file ${keyCount}.bin`;
      const path = join(folder, String(keyCount));
      const bytes = randomBytes(size);
      await writeFile(path, bytes);
      const notes = recordNotes();
      return {
        path,
        bytes,
        key,
        notes,
        async store(change = {}, signal = new AbortController().signal, by = s3) {
          await using file = await openTestFile(path, pathFromText('file'));
          const request: StoreRequest = {
            file,
            key,
            contentType: 'text/plain',
            metadata: { origin: 'test' },
            onlyIfAbsent: true,
            earlierUnanswered: false,
            resume: undefined,
            notes,
            onProgress() {},
            ...change,
          };
          return await by.store(request, signal);
        },
      };
    }

    const stored = async (key: string): Promise<Buffer | undefined> => {
      try {
        const { Body } = await owner.send(new GetObjectCommand({ Bucket: server.bucket, Key: key }));
        return Buffer.from((await Body?.transformToByteArray()) ?? []);
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') return undefined;
        throw error;
      }
    };

    /** Buffers are compared by digest: a difference of megabytes is no message. */
    const sha256 = (bytes: Uint8Array | undefined) => bytes && createHash('sha256').update(bytes).digest('hex');
    const expectStored = async ({ key, bytes }: Dropped) => {
      const object = await stored(key);
      expect(object?.length).toBe(bytes.length);
      expect(sha256(object)).toBe(sha256(bytes));
    };

    /** Unfinished uploads of this key that have parts, which somebody would pay for. */
    const leftovers = async (key: string): Promise<number> => {
      const { Uploads = [] } = await owner.send(
        new ListMultipartUploadsCommand({ Bucket: server.bucket, Prefix: key, MaxUploads: 100 }),
      );
      const withParts = await Promise.all(
        Uploads.map(async ({ Key, UploadId }) => {
          const { Parts = [] } = await owner.send(new ListPartsCommand({ Bucket: server.bucket, Key, UploadId }));
          return Parts.length;
        }),
      );
      return withParts.filter((count) => count > 0).length;
    };

    const partsSent = () => proxy.requests.filter(({ operation }) => operation === 'UploadPart');

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
          object: { bucket: server.bucket, key: file.key, sha256: sha256(file.bytes), partCount },
        });
        expect(await leftovers(file.key)).toBe(0);
      });

      it('carries content type, metadata and a checksum that the store verified', async () => {
        const small = await drop(1000);
        const large = await drop(partBytes + 1);
        for (const file of [small, large]) {
          const outcome = await file.store();
          const silent = differences.confirmsNothing === true;
          expect(outcome).toMatchObject({
            object: silent
              ? { checksumType: null, checksum: null }
              : { checksumType: 'CRC32', checksum: expect.any(String) },
          });
          const head = await owner.send(new HeadObjectCommand({ Bucket: server.bucket, Key: file.key }));
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
          const key = `${engine}/${size}/${name}`;
          expect(await file.store({ key })).toMatchObject({ kind: 'stored', object: { key } });
          await expectStored({ ...file, key });
        }
      });

      it('is noted before it is announced to S3', async () => {
        const file = await drop(2 * partBytes);
        let notesAtComplete: readonly string[] = [];
        let notesAtFirstPart: readonly string[] = [];
        proxy.fresh(({ operation }) => {
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
        proxy.fresh(async ({ operation, part, attempt }) => {
          if (operation === 'UploadPart' && part === 1 && attempt === 1) await change(file.path);
          return undefined;
        });
        expect(await file.store()).toEqual({ kind: 'changed' });
        expect(await stored(file.key)).toBeUndefined();
        expect(await leftovers(file.key)).toBe(0);
        expect(file.notes.progress()).toBeUndefined();
        expect(proxy.requests.some(({ operation }) => operation === 'CompleteMultipartUpload')).toBe(false);
      });

      it.each(changes)('before it is put (%s) is not stored', async (_, change) => {
        const file = await drop(1000);
        await using opened = await openTestFile(file.path, pathFromText('file'));
        await change(file.path);
        expect(await file.store({ file: opened })).toEqual({ kind: 'changed' });
        expect(proxy.requests).toHaveLength(0);
      });
    });

    describe('a key that is taken', () => {
      const foreign = async (key: string) => {
        await owner.send(new PutObjectCommand({ Bucket: server.bucket, Key: key, Body: 'somebody else’s' }));
      };

      it('by a foreign object is left alone (small file)', async () => {
        const file = await drop(1000);
        await foreign(file.key);
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
        if (differences.overwritesAtComplete) {
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

    describe('an answer that is lost', () => {
      it('at a put leaves the object, and the question whose it is', async () => {
        const file = await drop(1000);
        proxy.fresh(({ operation, attempt }) =>
          operation === 'PutObject' && attempt === 1 ? 'lost-answer' : undefined,
        );
        expect(await file.store()).toMatchObject({ kind: 'key-taken', ours: 'unknown', sha256: sha256(file.bytes) });
        await expectStored(file);
        expect(file.notes.written).toEqual(['storing']);
      });

      it('at a put that never arrived is made good', async () => {
        const file = await drop(1000);
        proxy.fresh(({ attempt }) => (attempt === 1 ? 'lost-request' : undefined));
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      });

      it('at a put of an earlier run leaves the question whose it is', async () => {
        const file = await drop(1000);
        await file.store();
        expect(await file.store({ earlierUnanswered: true })).toMatchObject({ kind: 'key-taken', ours: 'unknown' });
      });

      it('at Complete is found out: the object is ours', async () => {
        const file = await drop(2 * partBytes);
        proxy.fresh(({ operation, attempt }) =>
          operation === 'CompleteMultipartUpload' && attempt === 1 ? 'lost-answer' : undefined,
        );
        const outcome = await file.store();
        expect(outcome.kind === 'stored' || (outcome.kind === 'key-taken' && outcome.ours === 'yes')).toBe(true);
        await expectStored(file);
        expect(await leftovers(file.key)).toBe(0);
      });

      it('at a Complete that never arrived is made good', async () => {
        const file = await drop(2 * partBytes);
        proxy.fresh(({ operation, attempt }) =>
          operation === 'CompleteMultipartUpload' && attempt === 1 ? 'lost-request' : undefined,
        );
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      });

      it('at a Complete before a foreign object came is found out', async () => {
        const file = await drop(2 * partBytes);
        proxy.fresh(async ({ operation, attempt }) => {
          if (operation !== 'CompleteMultipartUpload' || attempt > 1) return undefined;
          await owner.send(new PutObjectCommand({ Bucket: server.bucket, Key: file.key, Body: 'quicker' }));
          return 'lost-request';
        });
        const outcome = await file.store();
        expect(await leftovers(file.key)).toBe(0);
        if (differences.overwritesAtComplete) {
          expect(outcome).toMatchObject({ kind: 'stored' });
          return;
        }
        expect(outcome).toMatchObject({ kind: 'key-taken', ours: 'no' });
        expect((await stored(file.key))?.toString()).toBe('quicker');
      });

      it('at Create costs an empty upload, no part', async () => {
        const file = await drop(2 * partBytes);
        proxy.fresh(({ operation, attempt }) =>
          operation === 'CreateMultipartUpload' && attempt === 1 ? 'lost-answer' : undefined,
        );
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        expect(await leftovers(file.key)).toBe(0);
      });

      it('at a part is made good', async () => {
        const file = await drop(3 * partBytes);
        proxy.fresh(({ operation, attempt }) =>
          operation === 'UploadPart' && attempt === 1 ? 'lost-answer' : undefined,
        );
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      });
    });

    describe('a store in trouble', () => {
      it('gets time: 503 at the first attempt of everything', async () => {
        for (const size of [1000, 3 * partBytes]) {
          const file = await drop(size);
          proxy.fresh(({ attempt }) => (attempt === 1 ? { answer: 503, code: 'SlowDown' } : undefined));
          expect(await file.store()).toMatchObject({ kind: 'stored' });
          await expectStored(file);
        }
      });

      it.each([
        ['503 all the time', { answer: 503, code: 'SlowDown' }, true],
        ['500 all the time', { answer: 500, code: 'InternalError' }, true],
        ['connections that break', 'lost-request', false],
      ] as const)('is reported as unavailable: %s', async (_, fault, answered) => {
        for (const size of [1000, 2 * partBytes]) {
          const file = await drop(size);
          proxy.fresh(() => fault);
          const error = await file.store().catch((thrown: unknown) => thrown);
          expect(error).toBeInstanceOf(ServiceUnavailable);
          expect(error).toMatchObject({ service: 's3', answered });
          proxy.fresh();
        }
      });

      it.each(['hang', 'deaf'] as const)('that stalls is noticed (%s)', async (fault) => {
        await using impatient = await createNetwork({ env: {}, stallMs: 500 });
        await using store = await createS3Store({ ...options(), network: impatient });
        const file = await drop(partBytes + 1);
        proxy.fresh(({ operation }) => (operation === 'UploadPart' ? fault : undefined));
        const error = await file.store({}, undefined, store).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(ServiceUnavailable);
        expect(error).toMatchObject({ answered: false, message: expect.stringContaining('no progress') });
        proxy.fresh();
        expect(await file.store({ resume: file.notes.progress() })).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      });

      it('may report an error with status 200 at Complete', async () => {
        const file = await drop(partBytes + 1);
        proxy.fresh(({ operation, attempt }) =>
          operation === 'CompleteMultipartUpload' && attempt === 1 ? { answer: 200, code: 'InternalError' } : undefined,
        );
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      });

      it('that refuses the credentials says so, and nothing is uploaded', async () => {
        const file = await drop(1000);
        proxy.fresh(() => ({ answer: 403, code: 'InvalidAccessKeyId' }));
        await expect(file.store()).rejects.toBeInstanceOf(CredentialsError);
        expect(file.notes.written).toEqual(['storing', 'refused']);
      });

      it('that knows no conditional writes says so with the cure', async () => {
        const file = await drop(1000);
        proxy.fresh(() => ({ answer: 501, code: 'NotImplemented' }));
        const error = await file.store().catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(ConfigError);
        expect(error).toMatchObject({ hint: expect.stringContaining('s3.conditionalWrites') });
      });

      it('that loses the upload gets it anew', async () => {
        const file = await drop(4 * partBytes);
        proxy.fresh(async ({ operation, part, attempt }) => {
          const upload = file.notes.progress();
          if (operation === 'UploadPart' && part === 3 && attempt === 1 && upload !== undefined) {
            await s3.abort(file.key, upload.uploadId, new AbortController().signal);
          }
          return undefined;
        });
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        await expectStored(file);
        expect(await leftovers(file.key)).toBe(0);
      });
    });

    describe('an upload that is broken off', () => {
      async function breakOffAt(file: Dropped, brokenPart: number): Promise<void> {
        const stop = new AbortController();
        const reason = new Error('the daemon stops');
        proxy.fresh(({ operation, part }) => {
          if (operation !== 'UploadPart' || part !== brokenPart) return undefined;
          stop.abort(reason);
          return 'hang';
        });
        await expect(file.store({}, stop.signal)).rejects.toBe(reason);
        await expect.poll(() => proxy.open).toBe(0);
        proxy.fresh();
      }

      it('leaves no request under way', async () => {
        const file = await drop(4 * partBytes);
        await breakOffAt(file, 3);
        const resume = file.notes.progress();
        if (resume) await s3.abort(file.key, resume.uploadId, new AbortController().signal);
        expect(await leftovers(file.key)).toBe(0);
      });

      it(`goes on where it was, or from the beginning where the engine can't`, async () => {
        const file = await drop(7 * partBytes);
        await breakOffAt(file, 5);
        const resume = file.notes.progress();
        expect(await file.store({ resume })).toMatchObject({ kind: 'stored', object: { partCount: 7 } });
        await expectStored(file);
        expect(await leftovers(file.key)).toBe(0);
        const again = partsSent().reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
        if (engine === 'native') expect(again).toBe((7 - (resume?.parts.length ?? 0)) * partBytes);
        else expect(again).toBe(7 * partBytes);
      });

      it('begins anew where S3 has other bytes', async () => {
        const file = await drop(4 * partBytes);
        await breakOffAt(file, 3);
        await writeFile(file.path, Buffer.from(file.bytes).fill(7, 0, 10));
        const resume = file.notes.progress();
        const changed = { ...file, bytes: Buffer.from(file.bytes).fill(7, 0, 10) };
        expect(await changed.store({ resume })).toMatchObject({ kind: 'stored' });
        await expectStored(changed);
        expect(await leftovers(file.key)).toBe(0);
      });

      it('begins anew where S3 has forgotten it', async () => {
        const file = await drop(3 * partBytes);
        await breakOffAt(file, 2);
        const resume = file.notes.progress();
        if (resume) await s3.abort(file.key, resume.uploadId, new AbortController().signal);
        expect(await file.store({ resume })).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      });

      it('is aborted where the file goes under another key', async () => {
        const file = await drop(3 * partBytes);
        await breakOffAt(file, 2);
        const key = `${file.key}~other`;
        expect(await file.store({ resume: file.notes.progress(), key })).toMatchObject({ kind: 'stored' });
        expect(await leftovers(file.key)).toBe(0);
        expect(await stored(file.key)).toBeUndefined();
      });
    });

    it('proves that it may write and leaves nothing', async () => {
      await s3.probe(`${engine}/`, new AbortController().signal);
      const { Uploads = [] } = await owner.send(
        new ListMultipartUploadsCommand({ Bucket: server.bucket, Prefix: `${engine}/.dropledger` }),
      );
      expect(Uploads).toEqual([]);
      expect(await stored(`${engine}/.dropledger-check`)).toBeUndefined();
    });

    it('aborts an upload that S3 does not know as if it did', async () => {
      await expect(s3.abort('never', 'bm90aGluZw', new AbortController().signal)).resolves.toBeUndefined();
    });
  });
}
