import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startTestEndpoint, type TestEndpoint } from '../support/s3-endpoint.ts';
import { type RawRequest, sendSigned } from '../support/signed-request.ts';

/** Whatever is sent to the endpoint, it answers what S3 might, or closes that one connection, and goes on. */

const send = (endpoint: TestEndpoint, request: RawRequest) =>
  sendSigned({ ...endpoint, credentials: endpoint.owner }, request);

const known = { path: '/bucket/known-object-of-the-test', body: 'still there' };

async function expectAlive(endpoint: TestEndpoint): Promise<void> {
  expect((await send(endpoint, { method: 'GET', path: known.path })).text).toBe(known.body);
}

/** What came back until the server closed, or said nothing any more for a moment. */
async function sendRaw(port: number, bytes: Uint8Array): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('latin1').on('data', (text) => {
    answer += text;
  });
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  socket.end(bytes);
  await closed;
  return answer;
}

const headerName = fc.constantFrom(
  ...['authorization', 'content-length', 'transfer-encoding', 'content-encoding', 'expect', 'range', 'x-amz-date'],
  ...['x-amz-content-sha256', 'x-amz-decoded-content-length', 'x-amz-trailer', 'x-amz-checksum-crc32', 'x-amz-meta-a'],
);
const headerValue = fc.oneof(
  fc.string(),
  fc.constantFrom(
    ...['chunked', '100-continue', '-1', '1e9', '99999999999999999999', 'aws-chunked', 'bytes=5-1', 'UNSIGNED-PAYLOAD'],
    ...['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'AWS4-HMAC-SHA256 Credential=', 'AWS4-HMAC-SHA256 Credential=a/b/c/d/e,'],
  ),
);
const target = fc.oneof(
  fc.webPath(),
  fc.string().map((text) => `/bucket/${text.replaceAll(' ', '')}`),
  fc.constantFrom(
    '*',
    '//',
    '/%',
    '/%ff',
    '/bucket/%00',
    '/bucket?uploads',
    '/bucket/a?uploadId=%',
    '/bucket/../..',
    '',
  ),
);
const requestText = fc
  .record({
    method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'NONSENSE'),
    target,
    headers: fc.array(fc.tuple(headerName, headerValue), { maxLength: 6 }),
    body: fc.string({ maxLength: 200 }),
  })
  .map(({ method, target: path, headers, body }) => {
    const lines = headers.map(([name, value]) => `${name}: ${value}`);
    return Buffer.from([`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1', ...lines, '', body].join('\r\n'), 'latin1');
  });

test('bytes that are no request, or nearly one', { timeout: 60_000 }, async () => {
  await using endpoint = await startTestEndpoint();
  await send(endpoint, { method: 'PUT', ...known });
  const bytes = fc.oneof({ weight: 3, arbitrary: requestText }, fc.uint8Array({ maxLength: 300 }));
  await fc.assert(
    fc.asyncProperty(bytes, async (request) => {
      expect(await sendRaw(endpoint.port, request)).not.toMatch(/^HTTP\/1\.1 5(?!01)/);
    }),
    { numRuns: 500 },
  );
  await expectAlive(endpoint);
});

const queryNames = [
  ...['uploads', 'uploadId', 'partNumber', 'list-type', 'max-keys', 'max-uploads', 'max-parts', 'prefix', 'delimiter'],
  ...['marker', 'key-marker', 'continuation-token', 'start-after', 'encoding-type', 'delete', 'location', 'versionId'],
];
const signedRequest = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST', 'HEAD', 'PATCH'),
  path: fc.oneof(
    fc.constantFrom('/', '/bucket', '/bucket/', '/bucket/key', '/other'),
    fc.string({ unit: 'grapheme', maxLength: 40 }).map((key) => `/bucket/${key}`),
  ),
  query: fc.dictionary(
    fc.constantFrom(...queryNames),
    fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.integer().map(String)),
    { maxKeys: 4 },
  ),
  headers: fc.dictionary(
    fc.constantFrom(
      ...[
        'range',
        'content-md5',
        'if-none-match',
        'x-amz-checksum-crc32',
        'x-amz-checksum-type',
        'x-amz-mp-object-size',
      ],
      ...['x-amz-sdk-checksum-algorithm', 'x-amz-checksum-algorithm', 'content-type', 'x-amz-meta-note'],
    ),
    fc.oneof(fc.base64String({ maxLength: 30 }), fc.constantFrom('bytes=0-', 'bytes=-0', '*', 'CRC32', 'FULL_OBJECT')),
    { maxKeys: 3 },
  ),
  body: fc.oneof(
    fc.string({ maxLength: 100 }),
    fc
      .string({ maxLength: 40 })
      .map((text) => `<CompleteMultipartUpload><Part>${text}</Part></CompleteMultipartUpload>`),
    fc.constantFrom(
      '<Delete><Object/></Delete>',
      '<Delete>',
      '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
      '<a '.repeat(5000),
    ),
  ),
});

test('requests that are signed and make no sense', { timeout: 60_000 }, async () => {
  await using endpoint = await startTestEndpoint();
  await send(endpoint, { method: 'PUT', ...known });
  await fc.assert(
    fc.asyncProperty(signedRequest, async (request) => {
      const { status, text } = await send(endpoint, request);
      expect(status === 501 || status < 500, `${status} ${text}`).toBe(true);
    }),
    { numRuns: 500 },
  );
  await expectAlive(endpoint);
});
