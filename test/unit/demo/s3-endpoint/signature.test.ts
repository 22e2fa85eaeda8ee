import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createChunkDecoder, createSignatureChain } from '../../../../src/demo/s3-endpoint/aws-chunked.ts';
import { parseRequest } from '../../../../src/demo/s3-endpoint/request.ts';
import { authenticate } from '../../../../src/demo/s3-endpoint/signature.ts';

/** The examples of the S3 API reference, "Signature Calculations for the Authorization Header". */
const rules = {
  credentials: [
    {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      role: 'owner' as const,
    },
  ],
  region: 'us-east-1',
  nowMs: Date.UTC(2013, 4, 24),
};

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function example(
  method: string,
  url: string,
  { signed, signature, ...headers }: Record<string, string> & { signed: string; signature: string },
) {
  const credential = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request';
  return parseRequest({
    method,
    url,
    headers: {
      'x-amz-date': '20130524T000000Z',
      authorization: `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${signed},Signature=${signature}`,
      ...headers,
    },
  } as unknown as IncomingMessage);
}

const bucketHost = { host: 'examplebucket.s3.amazonaws.com' };

describe('AWS’s examples of signatures', () => {
  test('GET Object', () => {
    const request = example('GET', '/test.txt', {
      ...bucketHost,
      range: 'bytes=0-9',
      'x-amz-content-sha256': emptySha256,
      signed: 'host;range;x-amz-content-sha256;x-amz-date',
      signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    });
    expect(authenticate(request, rules).credential.accessKeyId).toBe('AKIAIOSFODNN7EXAMPLE');
  });

  test('PUT Object, of a key with a character to encode', () => {
    const request = example('PUT', '/test%24file.text', {
      ...bucketHost,
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      signed: 'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
      signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    });
    expect(authenticate(request, rules).contentSha256).toMatch(/^44ce7dd6/);
  });

  test('GET Bucket, with a query', () => {
    const request = example('GET', '/?max-keys=2&prefix=J', {
      ...bucketHost,
      'x-amz-content-sha256': emptySha256,
      signed: 'host;x-amz-content-sha256;x-amz-date',
      signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    });
    expect(authenticate(request, rules).scope).toBe('20130524/us-east-1/s3/aws4_request');
  });

  test('one byte of a signature makes the difference', () => {
    const request = example('GET', '/test.txt', {
      ...bucketHost,
      'x-amz-content-sha256': emptySha256,
      signed: 'host;x-amz-content-sha256;x-amz-date',
      signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f8',
    });
    expect(() => authenticate(request, rules)).toThrow(expect.objectContaining({ code: 'SignatureDoesNotMatch' }));
  });
});

test('AWS’s example of a chunked upload is decoded and verified', () => {
  const seed = example('PUT', '/examplebucket/chunkObject.txt', {
    host: 's3.amazonaws.com',
    'content-encoding': 'aws-chunked',
    'content-length': '66824',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-decoded-content-length': '66560',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    signed:
      'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
    signature: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  });
  const chunks: [number, string][] = [
    [65536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648'],
    [1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497'],
    [0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9'],
  ];
  const body = chunks.map(
    ([size, signature]) => `${size.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(size)}\r\n`,
  );
  const decoder = createChunkDecoder(createSignatureChain(authenticate(seed, rules)));
  const data = Buffer.concat(decoder.push(Buffer.from(body.join(''))));
  expect(decoder.end()).toEqual(new Map());
  expect(data.toString()).toBe('a'.repeat(66560));
});
