import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { EndpointCredential } from '../../src/demo/s3-endpoint/index.ts';
import { startTestEndpoint, type TestEndpoint } from '../support/s3-endpoint.ts';
import { type RawRequest, sendSigned } from '../support/signed-request.ts';
import { createTestCa } from '../support/tls.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dropledger-s3-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

type Sent = Partial<RawRequest> & { readonly ca?: string };

const send = (endpoint: TestEndpoint, method: string, path: string, { ca, ...request }: Sent = {}) =>
  sendSigned(
    { url: endpoint.url, region: endpoint.region, credentials: endpoint.owner, ca },
    { method, path, ...request },
  );

/** Paths of all files below a folder, in order. */
async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return files.map((path) => path.slice(directory.length + 1)).sort();
}

describe('what is on the disk', () => {
  test('a bucket’s folder holds its objects under their keys, and nothing else', async () => {
    await using endpoint = await startTestEndpoint();
    await send(endpoint, 'PUT', '/bucket/2026/photo 1.jpg', { body: 'pixels' });
    await send(endpoint, 'PUT', '/bucket/note', { body: 'text' });
    const bucket = join(endpoint.directory, 'bucket');
    expect(await filesIn(bucket)).toEqual(['2026/photo 1.jpg', 'note']);
    expect(await readFile(join(bucket, '2026/photo 1.jpg'), 'utf8')).toBe('pixels');
  });

  test('a deleted object leaves no empty folder', async () => {
    await using endpoint = await startTestEndpoint();
    await send(endpoint, 'PUT', '/bucket/a/b/c', { body: 'x' });
    await send(endpoint, 'PUT', '/bucket/a/d', { body: 'x' });
    await send(endpoint, 'DELETE', '/bucket/a/b/c');
    expect(await readdir(join(endpoint.directory, 'bucket/a'))).toEqual(['d']);
  });

  test('no key leads out of the bucket', async () => {
    await using endpoint = await startTestEndpoint();
    for (const key of ['../../outside', '..', 'a/../../../outside', '/etc/outside', '.escaped/x']) {
      expect((await send(endpoint, 'PUT', `/bucket/${key}`, { body: key })).status).toBe(200);
      expect((await send(endpoint, 'GET', `/bucket/${key}`)).text).toBe(key);
    }
    const files = await filesIn(join(endpoint.directory, 'bucket'));
    expect(files).toHaveLength(5);
    expect(files.every((file) => file.startsWith('.escaped/'))).toBe(true);
    expect(await readdir(endpoint.directory)).toEqual(['.metadata', 'bucket']);
  });

  test('a refused put leaves nothing behind, whatever its size', async () => {
    await using endpoint = await startTestEndpoint();
    for (const body of [Buffer.alloc(10), Buffer.alloc(3 * 1024 * 1024)]) {
      const headers = { 'x-amz-checksum-crc32': 'AAAAAA==' };
      const { code } = await send(endpoint, 'PUT', '/bucket/a', { body, headers });
      expect(code).toBe('BadDigest');
    }
    expect(await filesIn(join(endpoint.directory, 'bucket'))).toEqual([]);
    expect(await readdir(join(endpoint.directory, '.metadata/staging'))).toEqual([]);
  });

  test('a refused body does not hide the answer', async () => {
    await using endpoint = await startTestEndpoint();
    const body = Buffer.alloc(20 * 1024 * 1024);
    expect(await send(endpoint, 'PUT', '/no-such-bucket/a', { body })).toMatchObject({ code: 'NoSuchBucket' });
    expect((await send(endpoint, 'PUT', '/bucket/a', { body })).status).toBe(200);
  });

  test('all is there again when the endpoint is started on the same folder', async () => {
    const directory = join(folder, 'again');
    let uploadId: string | undefined;
    {
      await using first = await startTestEndpoint({ directory });
      await send(first, 'PUT', '/bucket/a', { body: 'x', headers: { 'x-amz-meta-origin': 'camera' } });
      const { text } = await send(first, 'POST', '/bucket/large', { query: { uploads: '' } });
      uploadId = /<UploadId>([^<]+)/.exec(text)?.[1] ?? '';
      await send(first, 'PUT', '/bucket/large', { query: { uploadId, partNumber: '1' }, body: 'part' });
    }
    await using second = await startTestEndpoint({ directory });
    const head = await send(second, 'HEAD', '/bucket/a');
    expect(head.headers['x-amz-meta-origin']).toBe('camera');
    const parts = await send(second, 'GET', '/bucket/large', { query: { uploadId } });
    expect(parts.text).toContain('<Size>4</Size>');
  });

  test('a large body does not sit in memory', async () => {
    await using endpoint = await startTestEndpoint();
    const bytes = 256 * 1024 * 1024;
    const s3 = clientOf(endpoint);
    const before = process.memoryUsage().rss;
    let peak = before;
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    async function* content() {
      for (let sent = 0; sent < bytes; sent += chunk.length) {
        peak = Math.max(peak, process.memoryUsage().rss);
        yield chunk;
      }
    }
    const Body = Readable.from(content(), { objectMode: false, highWaterMark: 1024 * 1024 });
    await s3.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'large', Body, ContentLength: bytes }));
    expect((await stat(join(endpoint.directory, 'bucket/large'))).size).toBe(bytes);
    expect(peak - before).toBeLessThan(bytes / 2);
  });
});

describe('who may, and where', () => {
  test('temporary credentials need their token, until they have expired', async () => {
    const credential = { accessKeyId: 'TEMPORARY', secretAccessKey: 'secret', sessionToken: 'token' };
    const credentials: EndpointCredential[] = [{ ...credential, role: 'owner' }];
    await using endpoint = await startTestEndpoint({ credentials });
    const put = (given: RawRequest['credentials'] & object) =>
      send(endpoint, 'PUT', '/bucket/a', { body: 'x', credentials: given });
    expect((await put(credential)).status).toBe(200);
    expect(await put({ ...credential, sessionToken: 'other' })).toMatchObject({ status: 400, code: 'InvalidToken' });
    const { accessKeyId, secretAccessKey } = credential;
    expect(await put({ accessKeyId, secretAccessKey })).toMatchObject({ status: 403, code: 'InvalidAccessKeyId' });

    credentials[0] = { ...credential, role: 'owner', expired: true };
    expect(await put(credential)).toMatchObject({ status: 400, code: 'ExpiredToken' });
    const sts = { service: 'sts', body: 'Action=GetCallerIdentity&Version=2011-06-15', credentials: credential };
    expect(await send(endpoint, 'POST', '/', sts)).toMatchObject({ status: 403, code: 'ExpiredToken' });
  });

  test('a bucket of another region redirects to it', async () => {
    const buckets = ['bucket', { name: 'far-away', region: 'eu-central-1' }];
    await using endpoint = await startTestEndpoint({ buckets });
    const answer = await send(endpoint, 'PUT', '/far-away/a', { body: 'x' });
    expect(answer).toMatchObject({ status: 301, code: 'PermanentRedirect' });
    expect(answer.headers['x-amz-bucket-region']).toBe('eu-central-1');
  });

  test('a wrong owner is refused', async () => {
    await using endpoint = await startTestEndpoint({ accountId: '111122223333' });
    const put = (owner: string) =>
      send(endpoint, 'PUT', '/bucket/a', { body: 'x', headers: { 'x-amz-expected-bucket-owner': owner } });
    expect((await put('111122223333')).status).toBe(200);
    expect(await put('444455556666')).toMatchObject({ status: 403, code: 'AccessDenied' });
  });

  test('the SDK corrects its clock by the answer', async () => {
    const hour = 3_600_000;
    await using endpoint = await startTestEndpoint({ now: () => Date.now() + hour });
    const s3 = clientOf(endpoint);
    const put = () => s3.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'a', Body: 'x' }));
    expect((await put()).$metadata.attempts).toBe(2);
    expect((await put()).$metadata.attempts).toBe(1);
  });

  test('buckets are found by the name of the host as well', async () => {
    await using endpoint = await startTestEndpoint();
    const host = `bucket.localhost:${endpoint.port}`;
    expect((await send(endpoint, 'PUT', '/a/b', { body: 'x', headers: { host } })).status).toBe(200);
    expect((await send(endpoint, 'GET', '/bucket/a/b')).text).toBe('x');
  });
});

test('it speaks TLS with the certificate it is given', async () => {
  const ca = await createTestCa(join(folder, 'ca'));
  await using endpoint = await startTestEndpoint({ tls: await ca.issue('127.0.0.1') });
  expect(endpoint.url).toMatch(/^https:/);
  expect((await send(endpoint, 'PUT', '/bucket/a', { body: 'x', ca: ca.cert })).status).toBe(200);
  await expect(send(endpoint, 'GET', '/bucket/a')).rejects.toThrow(/certificate/);
});

test('checksums in trailers, as the SDK sends streams, are verified', async () => {
  const ca = await createTestCa(join(folder, 'ca-trailers'));
  await using endpoint = await startTestEndpoint({ tls: await ca.issue('127.0.0.1') });
  const s3 = clientOf(endpoint, ca.cert);
  const Body = Readable.from([Buffer.alloc(100_000, 'x')], { objectMode: false });
  await s3.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'a', Body, ContentLength: 100_000 }));
  const head = await s3.send(new HeadObjectCommand({ Bucket: 'bucket', Key: 'a', ChecksumMode: 'ENABLED' }));
  expect(head).toMatchObject({ ContentLength: 100_000, ChecksumType: 'FULL_OBJECT' });
  expect(head.ChecksumCRC32).toMatch(/^.{6}==$/);
});

/** The SDK as it is by default: checksums sent and checked, three attempts. */
function clientOf({ url, region, owner }: TestEndpoint, ca?: string): S3Client {
  const s3 = new S3Client({
    endpoint: url,
    region,
    credentials: owner,
    forcePathStyle: true,
    ...(ca !== undefined && { requestHandler: { httpsAgent: { ca } } }),
  });
  onTestFinished(() => s3.destroy());
  return s3;
}
