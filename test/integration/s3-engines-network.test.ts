import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AwsCredentialIdentity } from '@smithy/types';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { S3EndpointOptions } from '../../src/demo/s3-endpoint/index.ts';
import { type EndpointCredential, type FaultRequest, startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import type { MultipartProgress, StoreOutcome, StoreRequest } from '../../src/model.ts';
import { createS3Store, type S3StoreOptions } from '../../src/s3/store-file.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../src/service/errors.ts';
import { createNetwork, type NetworkOptions } from '../../src/service/network.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { openTestFile } from '../support/open-test-file.ts';
import { recordingLog } from '../support/recording-log.ts';
import { createTestCa, type TestCa, type TestCertificate } from '../support/tls.ts';
import { recordNotes } from '../support/upload-notes.ts';

const mebibyte = 2 ** 20;
const writer = { accessKeyId: 'WRITER', secretAccessKey: 'writer-secret' };

let folder: string;
let ca: TestCa;
let certificate: TestCertificate;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dropledger-network-'));
  ca = await createTestCa(join(folder, 'ca'));
  certificate = await ca.issue('127.0.0.1');
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;

async function endpointWith(options: Partial<S3EndpointOptions> = {}) {
  count += 1;
  const directory = join(folder, `endpoint-${count}`);
  const credentials: EndpointCredential[] = [{ ...writer, role: 'write-only' }];
  const endpoint = await startS3Endpoint({ directory, buckets: ['files'], credentials, ...options });
  onTestFinished(() => endpoint[Symbol.asyncDispose]());
  return { ...endpoint, objectFile: (key: string) => join(directory, 'files', key) };
}

async function storeTo(
  url: string,
  options: Partial<S3StoreOptions> = {},
  networkOptions: Partial<NetworkOptions> = {},
) {
  const network = await createNetwork({ env: {}, stallMs: 5_000, ...networkOptions });
  const log = recordingLog();
  const s3 = await createS3Store({
    engine: 'native',
    bucket: 'files',
    region: 'us-east-1',
    endpoint: url,
    forcePathStyle: true,
    partSizeMiB: 5,
    concurrency: 4,
    memoryMiB: 40,
    checksums: 'confirm',
    credentials: async () => writer,
    network,
    log,
    userAgent: 'dropledger/test',
    patience: { attempts: 3, baseMs: 1, capMs: 5 },
    ...options,
  });
  onTestFinished(async () => {
    await s3[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
  });

  async function store(
    bytes: Buffer,
    key: string,
    change: Partial<StoreRequest> = {},
    signal = new AbortController().signal,
  ): Promise<StoreOutcome> {
    count += 1;
    const path = join(folder, `file-${count}`);
    await writeFile(path, bytes);
    await using file = await openTestFile(path, pathFromText('file'));
    const request: StoreRequest = {
      file,
      key,
      contentType: 'text/plain',
      metadata: {},
      onlyIfAbsent: true,
      earlierUnanswered: false,
      resume: undefined,
      notes: recordNotes(),
      onProgress() {},
      ...change,
    };
    return await s3.store(request, signal);
  }
  return { s3, log, store };
}

const engines = ['native', 'lib-storage'] as const;

describe.each(engines)('over TLS: %s', (engine) => {
  it('trusts AWS_CA_BUNDLE, and nobody else', async () => {
    const endpoint = await endpointWith({ tls: certificate });
    const bytes = randomBytes(6 * mebibyte);
    const trusting = await storeTo(endpoint.url, { engine }, { env: { AWS_CA_BUNDLE: ca.certFile } });
    expect(await trusting.store(bytes, 'big')).toMatchObject({ kind: 'stored', object: { checksumType: 'CRC32' } });
    expect(await trusting.store(bytes.subarray(0, 10), 'small')).toMatchObject({ kind: 'stored' });
    expect(bytes.equals(await readFile(endpoint.objectFile('big')))).toBe(true);

    const distrusting = await storeTo(endpoint.url, { engine });
    const error = await distrusting.store(bytes, 'other').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ServiceUnavailable);
    expect(error).toMatchObject({ hint: expect.stringContaining('AWS_CA_BUNDLE') });
  });

  it('goes through HTTPS_PROXY, but not where NO_PROXY says', async () => {
    const endpoint = await endpointWith({ tls: certificate });
    const proxy = await startConnectProxy();
    const env = { AWS_CA_BUNDLE: ca.certFile, HTTPS_PROXY: proxy.url };
    const through = await storeTo(endpoint.url, { engine }, { env });
    expect(await through.store(randomBytes(100), 'a')).toMatchObject({ kind: 'stored' });
    expect(await through.store(randomBytes(6 * mebibyte), 'b')).toMatchObject({ kind: 'stored' });
    const tunnels = proxy.tunnels();
    expect(tunnels).toBeGreaterThan(0);

    const direct = await storeTo(endpoint.url, { engine }, { env: { ...env, NO_PROXY: '127.0.0.1' } });
    expect(await direct.store(randomBytes(100), 'c')).toMatchObject({ kind: 'stored' });
    expect(proxy.tunnels()).toBe(tunnels);
  });
});

async function startConnectProxy() {
  let tunnels = 0;
  const server = createHttpServer();
  server.on('connect', (request, socket) => {
    tunnels += 1;
    const { hostname, port } = new URL(`http://${request.url}`);
    const upstream = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const one of [upstream, socket]) one.on('error', () => upstream.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tunnels: () => tunnels };
}

describe.each(engines)('credentials and clocks: %s', (engine) => {
  it('uses session tokens, and asks for new ones when S3 says they have expired', async () => {
    const old = { accessKeyId: 'OLD', secretAccessKey: 'old-secret', sessionToken: 'old-token' };
    const fresh = { accessKeyId: 'NEW', secretAccessKey: 'new-secret', sessionToken: 'new-token' };
    const endpoint = await endpointWith({
      credentials: [
        { ...old, role: 'write-only', expired: true },
        { ...fresh, role: 'write-only' },
      ],
    });
    let held: AwsCredentialIdentity = old;
    const { store } = await storeTo(endpoint.url, {
      engine,
      credentials: async (asked) => {
        if (asked?.['forceRefresh']) held = fresh;
        return held;
      },
    });
    const together = Array.from({ length: 20 }, (_, n) => store(randomBytes(100), `small/${n}`));
    expect((await Promise.all(together)).every(({ kind }) => kind === 'stored')).toBe(true);
    held = old;
    expect(await store(randomBytes(6 * mebibyte), 'b')).toMatchObject({ kind: 'stored' });
  });

  it('says so when there are no others', async () => {
    const expired = { accessKeyId: 'OLD', secretAccessKey: 'old-secret', sessionToken: 'old-token' };
    const endpoint = await endpointWith({ credentials: [{ ...expired, role: 'write-only', expired: true }] });
    const { store, s3 } = await storeTo(endpoint.url, { engine, credentials: async () => expired });
    await expect(store(randomBytes(100), 'a')).rejects.toBeInstanceOf(CredentialsError);
    await expect(s3.probe('', new AbortController().signal)).rejects.toBeInstanceOf(CredentialsError);
  });

  it('dates requests as the server would where this clock is an hour wrong', async () => {
    const endpoint = await endpointWith({ now: () => Date.now() + 3_600_000 });
    const { store, log } = await storeTo(endpoint.url, { engine });
    expect(await store(randomBytes(100), 'a')).toMatchObject({ kind: 'stored' });
    expect(await store(randomBytes(6 * mebibyte), 'b')).toMatchObject({ kind: 'stored' });
    if (engine === 'native') expect(log.named('warning')).toMatchObject([{ fields: { minutes_fast: -60 } }]);
  });

  it('has no message that tells a secret', async () => {
    const endpoint = await endpointWith();
    const secret = {
      accessKeyId: 'WRITER',
      secretAccessKey: 'not-the-secret-of-writer',
      sessionToken: 'tokentokentoken',
    };
    const { store } = await storeTo(endpoint.url, { engine, credentials: async () => secret });
    const error = (await store(randomBytes(100), 'a').catch((thrown: unknown) => thrown)) as CredentialsError;
    expect(error).toBeInstanceOf(CredentialsError);
    const all = JSON.stringify([error, error.message, error.hint, error.stack, (error.cause as Error).message]);
    expect(all).not.toMatch(/not-the-secret|tokentoken|Signature=/);
  });
});

describe.each(engines)('configuration: %s', (engine) => {
  it('that names no bucket is wrong', async () => {
    const endpoint = await endpointWith();
    const { s3 } = await storeTo(endpoint.url, { engine, bucket: 'no-such-bucket' });
    await expect(s3.probe('', new AbortController().signal)).rejects.toBeInstanceOf(ConfigError);
  });

  it('that names another region is told the right one', async () => {
    const endpoint = await endpointWith({ region: 'eu-central-1' });
    const { s3 } = await storeTo(endpoint.url, { engine });
    const error = await s3.probe('', new AbortController().signal).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ hint: expect.stringContaining('eu-central-1') });
  });

  it('that gives no right to write is refused', async () => {
    const endpoint = await endpointWith({ credentials: [{ ...writer, role: 'write-only', prefix: 'allowed/' }] });
    const { s3 } = await storeTo(endpoint.url, { engine });
    await s3.probe('allowed/', new AbortController().signal);
    await expect(s3.probe('elsewhere/', new AbortController().signal)).rejects.toBeInstanceOf(CredentialsError);
  });

  it('without a server is unreachable, not wrong', async () => {
    const { s3 } = await storeTo('http://127.0.0.1:1', { engine });
    const error = await s3.probe('', new AbortController().signal).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ServiceUnavailable);
    expect(error).toMatchObject({ answered: false });
  });

  it('with checksums off sends none', async () => {
    const seen: FaultRequest[] = [];
    const endpoint = await endpointWith({ faults: (request) => void seen.push(request) });
    const { store } = await storeTo(endpoint.url, { engine, checksums: 'off' });
    for (const size of [100, 6 * mebibyte]) {
      const outcome = await store(randomBytes(size), `of ${size}`);
      expect(outcome).toMatchObject({ kind: 'stored', object: { checksumType: null, checksum: null } });
    }
    const names = seen.flatMap(({ headers }) => Object.keys(headers));
    expect(names.filter((name) => name.includes('checksum'))).toEqual([]);
  });
});

describe('the native engine', () => {
  it('streams a part that is larger than all its memory', async () => {
    const endpoint = await endpointWith();
    const { store } = await storeTo(endpoint.url, { memoryMiB: 8 });
    const bytes = randomBytes(23 * mebibyte);
    const stop = new AbortController();
    const notes = recordNotes();
    const stopAtOnce = {
      ...notes,
      async multipartStarted(upload: Omit<MultipartProgress, 'parts'>) {
        await notes.multipartStarted(upload);
        stop.abort(new Error('enough'));
      },
    };
    await expect(store(bytes, 'large', { notes: stopAtOnce }, stop.signal)).rejects.toThrow('enough');
    // as if that attempt had been made with other settings
    const begun = notes.progress() as MultipartProgress;
    const resume = { ...begun, partSizeBytes: 9 * mebibyte };

    const outcome = await store(bytes, 'large', { notes, resume });
    expect(outcome).toMatchObject({ kind: 'stored', object: { partCount: 3, checksumType: 'CRC32' } });
    expect(bytes.equals(await readFile(endpoint.objectFile('large')))).toBe(true);
  });

  it('lets small files pass while a large one is on its way', async () => {
    let holdParts = true;
    const held: (() => void)[] = [];
    const endpoint = await endpointWith({
      faults: async ({ operation }) => {
        if (operation === 'UploadPart' && holdParts) await new Promise<void>((resolve) => held.push(resolve));
        return undefined;
      },
    });
    const { store } = await storeTo(endpoint.url, { concurrency: 4, memoryMiB: 40 });
    const large = store(randomBytes(60 * mebibyte), 'large');
    await expect.poll(() => held.length).toBe(3);
    const small = await Promise.all(Array.from({ length: 20 }, (_, n) => store(randomBytes(1000), `small/${n}`)));
    expect(small.every(({ kind }) => kind === 'stored')).toBe(true);
    holdParts = false;
    for (const release of held) release();
    expect(await large).toMatchObject({ kind: 'stored', object: { partCount: 12 } });
  });

  it('keeps to maxMbitPerSecond over all files', async () => {
    const endpoint = await endpointWith();
    const { store } = await storeTo(endpoint.url, { maxMbitPerSecond: 80 });
    const startedAt = performance.now();
    await Promise.all([store(randomBytes(6 * mebibyte), 'a'), store(randomBytes(3 * mebibyte), 'b')]);
    // 9 MiB at 10 MB/s; the pieces that end it need not wait
    expect(performance.now() - startedAt).toBeGreaterThan(800);
  });
});
