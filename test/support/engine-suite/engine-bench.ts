import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, ListMultipartUploadsCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { StoreOutcome, StoreRequest } from '../../../src/model.ts';
import { createS3Client } from '../../../src/s3/client.ts';
import { createS3Store, type S3Store, type S3StoreOptions } from '../../../src/s3/store-file.ts';
import { createNetwork } from '../../../src/service/network.ts';
import { pathFromText } from '../../../src/service/path-bytes.ts';
import { type FaultProxy, startFaultProxy } from '../fault-proxy.ts';
import { openTestFile } from '../open-test-file.ts';
import { recordingLog } from '../recording-log.ts';
import { type RecordedNotes, recordNotes } from '../upload-notes.ts';

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
  /** `If-None-Match` at a put is answered 501: files are stored without it, as with `s3.conditionalWrites` false. */
  readonly noConditionalPuts?: boolean;
  /** It takes no checksums at Complete: files are stored with `s3.checksums` off. */
  readonly refusesChecksums?: boolean;
}

export const partBytes = 5 * 2 ** 20;
export const engines = ['native', 'lib-storage'] as const;
export type Engine = (typeof engines)[number];

/** A file on the disk, to be stored under a key of its own. */
export interface Dropped {
  readonly path: string;
  readonly bytes: Buffer;
  readonly key: string;
  readonly notes: RecordedNotes;
  /** Opens the file as it is now and stores it. */
  store(change?: Partial<StoreRequest>, signal?: AbortSignal, by?: S3Store): Promise<StoreOutcome>;
}

/** One engine in front of one server, with a proxy between them that loses what it is told to. */
export interface EngineBench {
  readonly engine: Engine;
  readonly differences: EngineDifferences;
  readonly server: EngineServer;
  readonly proxy: FaultProxy;
  readonly owner: S3Client;
  readonly s3: S3Store;
  /** How `s3` was made. */
  options(): S3StoreOptions;
  drop(size: number): Promise<Dropped>;
  /** The object's bytes; undefined where there is none. */
  stored(key: string): Promise<Buffer | undefined>;
  expectStored(file: Dropped): Promise<void>;
  /** Unfinished uploads of this key that have parts, which somebody would pay for. */
  leftovers(key: string): Promise<number>;
  partsSent(): FaultProxy['requests'];
}

/** Buffers are compared by digest: a difference of megabytes is no message. */
export const sha256 = (bytes: Uint8Array | undefined) => bytes && createHash('sha256').update(bytes).digest('hex');

/** Registers hooks: everything is there before the tests of this `describe`, and gone after them. */
export function useEngineBench(
  engine: Engine,
  start: () => Promise<EngineServer>,
  differences: EngineDifferences,
): EngineBench {
  const log = recordingLog();
  const parts = new AsyncDisposableStack();
  let running: Pick<EngineBench, 'server' | 'proxy' | 'owner' | 's3' | 'options'> & { readonly folder: string };
  let keyCount = 0;

  beforeAll(async () => {
    const server = parts.use(await start());
    const proxy = parts.use(await startFaultProxy(server.url));
    const ownerNetwork = parts.use(await createNetwork({ env: {} }));
    const network = parts.use(await createNetwork({ env: {} }));
    const place = { region: 'us-east-1', forcePathStyle: true };
    const owner = createS3Client({
      ...place,
      endpoint: server.url,
      credentials: async () => server.owner,
      network: ownerNetwork,
    });
    parts.defer(() => owner.destroy());
    const folder = await mkdtemp(join(tmpdir(), 'dropledger-engine-'));
    parts.defer(() => rm(folder, { recursive: true }));
    const options = (): S3StoreOptions => ({
      ...{ ...place, engine, bucket: server.bucket, endpoint: proxy.url, network, log },
      ...{ partSizeMiB: 5, concurrency: 4, memoryMiB: 40, userAgent: 'dropledger/test' },
      checksums: differences.refusesChecksums ? 'off' : 'send',
      credentials: async () => server.writeOnly,
      patience: { attempts: 3, baseMs: 1, capMs: 5 },
    });
    const s3 = parts.use(await createS3Store(options()));
    running = { server, proxy, owner, s3, options, folder };
  });

  afterEach(async () => {
    const { proxy } = running;
    // the proxy learns a little later that a client has gone
    await expect.poll(() => proxy.open, { message: 'no request may outlive its upload' }).toBe(0);
    proxy.fresh();
  });

  afterAll(() => parts.disposeAsync());

  const stored = async (key: string): Promise<Buffer | undefined> => {
    const { owner, server } = running;
    try {
      const { Body } = await owner.send(new GetObjectCommand({ Bucket: server.bucket, Key: key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return undefined;
      throw error;
    }
  };

  return {
    engine,
    differences,
    get server() {
      return running.server;
    },
    get proxy() {
      return running.proxy;
    },
    get owner() {
      return running.owner;
    },
    get s3() {
      return running.s3;
    },
    options: () => running.options(),
    stored,

    async drop(size) {
      keyCount += 1;
      const key = `${engine}/file ${keyCount}.bin`;
      const path = join(running.folder, String(keyCount));
      const bytes = randomBytes(size);
      await writeFile(path, bytes);
      const notes = recordNotes();
      return {
        ...{ path, bytes, key, notes },
        async store(change = {}, signal = new AbortController().signal, by = running.s3) {
          await using file = await openTestFile(path, pathFromText('file'));
          const request: StoreRequest = {
            ...{ file, key, notes, contentType: 'text/plain', metadata: { origin: 'test' } },
            ...{
              onlyIfAbsent: differences.noConditionalPuts !== true,
              earlierUnanswered: false,
              resume: undefined,
              onProgress() {},
            },
            ...change,
          };
          return await by.store(request, signal);
        },
      };
    },

    async expectStored({ key, bytes }) {
      const object = await stored(key);
      expect(object?.length).toBe(bytes.length);
      expect(sha256(object)).toBe(sha256(bytes));
    },

    async leftovers(key) {
      const { owner, server } = running;
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
    },

    partsSent: () => running.proxy.requests.filter(({ operation }) => operation === 'UploadPart'),
  };
}
