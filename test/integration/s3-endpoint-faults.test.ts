import { PassThrough } from 'node:stream';
import { CompleteMultipartUploadCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import type { Fault, FaultRequest } from '../../src/demo/s3-endpoint/index.ts';
import { startTestEndpoint, type TestEndpoint } from '../support/s3-endpoint.ts';
import { type RawRequest, sendSigned } from '../support/signed-request.ts';

const send = (endpoint: TestEndpoint, method: string, path: string, request: Partial<RawRequest> = {}) =>
  sendSigned({ ...endpoint, credentials: endpoint.owner }, { method, path, ...request });

/** The fault, for the first request of an operation. */
const atFirst =
  (operation: FaultRequest['operation'], fault: Fault) =>
  (request: FaultRequest): Fault | undefined =>
    request.operation === operation && request.attempt === 1 ? fault : undefined;

test('an error that is asked for is answered, and nothing is done', async () => {
  const fault: Fault = { kind: 'status', status: 503, code: 'SlowDown', headers: { 'retry-after': '1' } };
  await using endpoint = await startTestEndpoint({ faults: atFirst('PutObject', fault) });
  const first = await send(endpoint, 'PUT', '/bucket/a', { body: 'x' });
  expect(first).toMatchObject({ status: 503, code: 'SlowDown', headers: { 'retry-after': '1' } });
  expect((await send(endpoint, 'GET', '/bucket/a')).status).toBe(404);
  expect((await send(endpoint, 'PUT', '/bucket/a', { body: 'x' })).status).toBe(200);
});

test('reset-before cuts the connection, and nothing is done', async () => {
  await using endpoint = await startTestEndpoint({ faults: atFirst('PutObject', { kind: 'reset-before' }) });
  await expect(send(endpoint, 'PUT', '/bucket/a', { body: 'x' })).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect((await send(endpoint, 'GET', '/bucket/a')).status).toBe(404);
});

test('reset-before can wait for a part of the body', async () => {
  const fault: Fault = { kind: 'reset-before', afterBytes: 1024 * 1024 };
  await using endpoint = await startTestEndpoint({ faults: atFirst('PutObject', fault) });
  const body = Buffer.alloc(4 * 1024 * 1024);
  await expect(send(endpoint, 'PUT', '/bucket/a', { body })).rejects.toMatchObject({
    code: expect.stringMatching(/ECONNRESET|EPIPE/),
  });
  expect((await send(endpoint, 'GET', '/bucket/a')).status).toBe(404);
});

test('reset-after does the work and loses the answer', async () => {
  await using endpoint = await startTestEndpoint({ faults: atFirst('PutObject', { kind: 'reset-after' }) });
  await expect(send(endpoint, 'PUT', '/bucket/a', { body: 'x' })).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect((await send(endpoint, 'GET', '/bucket/a')).text).toBe('x');
});

test('reset-after loses a refusal as well', async () => {
  const faults = ({ attempt }: FaultRequest): Fault | undefined =>
    attempt === 2 ? { kind: 'reset-after' } : undefined;
  await using endpoint = await startTestEndpoint({ faults });
  const put = () => send(endpoint, 'PUT', '/bucket/a', { body: 'x', headers: { 'if-none-match': '*' } });
  expect((await put()).status).toBe(200);
  await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect((await put()).code).toBe('PreconditionFailed');
});

test('hang never answers, with the work done or not', async () => {
  await using endpoint = await startTestEndpoint({
    faults: ({ key }) => (key === '' ? undefined : { kind: 'hang', work: key === 'done' }),
  });
  const keys = ['undone', 'done'];
  const ended = Promise.allSettled(keys.map((key) => send(endpoint, 'PUT', `/bucket/${key}`, { body: 'x' })));
  const list = async () => (await send(endpoint, 'GET', '/bucket')).text;
  await expect.poll(list).toContain('<Key>done</Key>');
  expect(await list()).not.toContain('<Key>undone</Key>');
  await endpoint[Symbol.asyncDispose]();
  expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});

test('delay goes on as usual, or with another fault', async () => {
  const then: Fault = { kind: 'status', status: 500, code: 'InternalError' };
  const faults = ({ key }: FaultRequest): Fault => ({ kind: 'delay', ms: 1, ...(key === 'bad' && { then }) });
  await using endpoint = await startTestEndpoint({ faults });
  expect((await send(endpoint, 'PUT', '/bucket/bad', { body: 'x' })).code).toBe('InternalError');
  expect((await send(endpoint, 'PUT', '/bucket/good', { body: 'x' })).status).toBe(200);
});

test('the SDK sees the error inside a 200 at Complete', async () => {
  const fault: Fault = { kind: 'error-in-200', code: 'InternalError' };
  await using endpoint = await startTestEndpoint({ faults: atFirst('CompleteMultipartUpload', fault) });
  const s3 = clientOf(endpoint);
  const { text } = await send(endpoint, 'POST', '/bucket/a', { query: { uploads: '' } });
  const UploadId = /<UploadId>([^<]+)/.exec(text)?.[1] ?? '';
  const query = { uploadId: UploadId, partNumber: '1' };
  const { headers } = await send(endpoint, 'PUT', '/bucket/a', { query, body: 'x' });
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: headers.etag }] };
  const complete = () =>
    s3.send(new CompleteMultipartUploadCommand({ Bucket: 'bucket', Key: 'a', UploadId, MultipartUpload }));
  await expect(complete()).rejects.toMatchObject({ name: 'InternalError' });
  expect((await complete()).$metadata.httpStatusCode).toBe(200);
});

test('a hook can hold requests until the test lets them go', async () => {
  const held = Promise.withResolvers<undefined>();
  const answers: string[] = [];
  await using endpoint = await startTestEndpoint({
    faults: ({ key }) => (key === 'held' ? held.promise : undefined),
    onAnswer: ({ request, status }) => answers.push(`${request.operation} ${request.key} ${status}`),
  });
  const first = send(endpoint, 'PUT', '/bucket/held', { body: 'x' });
  await send(endpoint, 'PUT', '/bucket/free', { body: 'x' });
  held.resolve(undefined);
  await first;
  expect(answers).toEqual(['PutObject free 200', 'PutObject held 200']);
});

test('a key that is deleted while a conditional put is under way is a conflict', async () => {
  const arrived = Promise.withResolvers<void>();
  await using endpoint = await startTestEndpoint({
    faults: ({ headers }) => {
      if (headers['if-none-match'] === '*') arrived.resolve();
      return undefined;
    },
  });
  const Body = new PassThrough();
  const conditional = clientOf(endpoint).send(
    new PutObjectCommand({ Bucket: 'bucket', Key: 'a', Body, ContentLength: 2, IfNoneMatch: '*' }),
  );
  Body.write('1');
  // While it waits for its second byte, another put comes and goes.
  await arrived.promise;
  await send(endpoint, 'PUT', '/bucket/a', { body: 'x' });
  await send(endpoint, 'DELETE', '/bucket/a');
  Body.end('2');
  await expect(conditional).rejects.toMatchObject({ name: 'ConditionalRequestConflict' });
});

test('it stops at once, whatever is in flight, and starts again on the same port', async () => {
  await using endpoint = await startTestEndpoint({ faults: () => ({ kind: 'hang' }) });
  const hanging = send(endpoint, 'PUT', '/bucket/a', { body: 'x' }).catch((error: unknown) => error);
  await endpoint[Symbol.asyncDispose]();
  expect(await hanging).toMatchObject({ code: expect.stringMatching(/ECONNRESET|ECONNREFUSED/) });
  await using again = await startTestEndpoint({ port: endpoint.port });
  expect((await send(again, 'PUT', '/bucket/a', { body: 'x' })).status).toBe(200);
});

function clientOf({ url, region, owner }: TestEndpoint): S3Client {
  const s3 = new S3Client({
    endpoint: url,
    region,
    credentials: owner,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  onTestFinished(() => s3.destroy());
  return s3;
}
