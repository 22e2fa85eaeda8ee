import { createHash } from 'node:crypto';
import type { AwsCredentialIdentityProvider } from '@smithy/types';
import { type ExchangeAnswer, ExchangeFailed, encodeUriSegment } from '../service/http-exchange.ts';
import type { Network } from '../service/network.ts';
import type {
  BucketFacts,
  CallOptions,
  CompleteRequest,
  ObjectHead,
  S3Calls,
  SizedBody,
  StoredAnswer,
} from './calls.ts';
import { crc32Base64 } from './calls.ts';
import type { BucketEndpoint } from './endpoint.ts';
import { S3Failure } from './failure.ts';
import { createRequestSigner, type UnsignedRequest } from './request-signer.ts';
import { elementText, hasElement } from './xml.ts';

export interface SignedCallsOptions extends BucketFacts {
  readonly endpoint: BucketEndpoint;
  /** Asked with `forceRefresh` once S3 says that what it gave has expired. */
  readonly credentials: AwsCredentialIdentityProvider;
  readonly network: Network;
  readonly userAgent: string;
  /** Awaited before each piece of a body is sent. */
  readonly pace?: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined;
}

interface S3Request extends UnsignedRequest {
  readonly body?: SizedBody['body'] | string;
  readonly answerMs?: number;
}

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** S3 may take minutes to put many parts together. */
const completeAnswerMs = 300_000;

/**
 * S3's requests, signed and sent with nothing between: for small files AWS's client costs four times the CPU. What it
 * does about a wrong clock and expired credentials is done here as well: both are refusals, so repeating them is safe.
 */
export function createSignedCalls(options: SignedCallsOptions): S3Calls {
  const { endpoint, credentials, network, userAgent, pace, expectedBucketOwner } = options;
  const signer = createRequestSigner(endpoint, credentials);
  const always = {
    'user-agent': userAgent,
    ...(expectedBucketOwner === undefined ? {} : { 'x-amz-expected-bucket-owner': expectedBucketOwner }),
  };

  async function sendOnce(request: S3Request, { signal }: CallOptions): Promise<ExchangeAnswer> {
    const headers = await signer.sign({ ...request, headers: { ...always, ...request.headers } });
    try {
      const answer = await network.exchange({
        origin: endpoint.origin,
        path: pathAndQuery(request),
        method: request.method,
        headers,
        ...(request.body === undefined ? {} : { body: opened(request.body) }),
        ...(request.answerMs === undefined ? {} : { answerMs: Math.max(request.answerMs, network.stallMs) }),
        signal,
        pace,
      });
      if (answer.status >= 200 && answer.status < 300 && !hasElement(answer.body, 'Error')) return answer;
      throw answeredFailure(answer);
    } catch (error) {
      if (!(error instanceof ExchangeFailed)) throw error;
      const { code, message, mayHaveArrived } = error;
      throw new S3Failure({ code, message, mayHaveArrived, cause: error });
    }
  }

  async function send(request: S3Request, callOptions: CallOptions): Promise<ExchangeAnswer> {
    try {
      return await sendOnce(request, callOptions);
    } catch (error) {
      if (!(error instanceof S3Failure && (await mended(error)))) throw error;
      return await sendOnce(request, callOptions);
    }
  }

  /** Whether the cause of this refusal is now gone. */
  async function mended({ code, clockAheadMs }: S3Failure): Promise<boolean> {
    if (code === 'RequestTimeTooSkewed' && clockAheadMs !== undefined) {
      signer.correctClock(clockAheadMs);
      return true;
    }
    if (code !== 'ExpiredToken' && code !== 'ExpiredTokenException') return false;
    const before = await credentials();
    const after = await credentials({ forceRefresh: true });
    return before.sessionToken !== after.sessionToken || before.accessKeyId !== after.accessKeyId;
  }

  const at = (key: string) => `${endpoint.basePath}/${encodeKey(key)}`;

  return {
    async putObject(object, callOptions) {
      const { onlyIfAbsent } = object;
      const answer = await send(
        {
          method: 'PUT',
          path: at(object.key),
          query: {},
          headers: {
            ...objectHeaders(object, options),
            ...bodyHeaders(object),
            ...(onlyIfAbsent ? { 'if-none-match': '*' } : {}),
          },
          body: object.body,
        },
        callOptions,
      );
      return storedAnswer(answer);
    },

    async createMultipartUpload(object, callOptions) {
      const checksum = { 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'FULL_OBJECT' };
      const answer = await send(
        {
          method: 'POST',
          path: at(object.key),
          query: { uploads: '' },
          headers: {
            ...objectHeaders(object, options),
            ...(object.checksummed ? checksum : {}),
            'x-amz-content-sha256': emptySha256,
          },
        },
        callOptions,
      );
      const uploadId = elementText(answer.body, 'UploadId');
      if (uploadId === undefined) throw notUnderstood(answer);
      return { uploadId };
    },

    async uploadPart(part, callOptions) {
      const answer = await send(
        {
          method: 'PUT',
          path: at(part.key),
          query: { partNumber: String(part.number), uploadId: part.uploadId },
          headers: bodyHeaders(part),
          body: part.body,
        },
        callOptions,
      );
      return storedAnswer(answer);
    },

    async completeMultipartUpload(upload, callOptions) {
      const body = completeBody(upload);
      const answer = await send(
        {
          method: 'POST',
          path: at(upload.key),
          query: { uploadId: upload.uploadId },
          headers: {
            'content-type': 'application/xml',
            'content-length': String(Buffer.byteLength(body)),
            'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
            'x-amz-mp-object-size': String(upload.size),
            ...(upload.crc32 === undefined
              ? {}
              : { 'x-amz-checksum-type': 'FULL_OBJECT', 'x-amz-checksum-crc32': crc32Base64(upload.crc32) }),
            ...(upload.onlyIfAbsent ? { 'if-none-match': '*' } : {}),
          },
          body,
          answerMs: completeAnswerMs,
        },
        callOptions,
      );
      return {
        etag: answer.headers['etag'] ?? elementText(answer.body, 'ETag'),
        versionId: answer.headers['x-amz-version-id'],
        requestId: answer.headers['x-amz-request-id'],
        crc32: elementText(answer.body, 'ChecksumCRC32') ?? answer.headers['x-amz-checksum-crc32'],
      };
    },

    async abortMultipartUpload({ key, uploadId }, callOptions) {
      await send(
        { method: 'DELETE', path: at(key), query: { uploadId }, headers: { 'x-amz-content-sha256': emptySha256 } },
        callOptions,
      );
    },
  };
}

const opened = (body: SizedBody['body'] | string) => (typeof body === 'function' ? body() : body);

const encodeKey = (key: string) => key.split('/').map(encodeUriSegment).join('/');

function pathAndQuery({ path, query }: UnsignedRequest): string {
  const pairs = Object.entries(query).map(([name, value]) => `${name}=${encodeUriSegment(value)}`);
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

function objectHeaders({ contentType, metadata }: ObjectHead, { storageClass, sseKmsKeyId }: BucketFacts) {
  return {
    'content-type': contentType,
    ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name.toLowerCase()}`, value])),
    ...(storageClass === undefined ? {} : { 'x-amz-storage-class': storageClass }),
    ...(sseKmsKeyId === undefined
      ? {}
      : {
          'x-amz-server-side-encryption': 'aws:kms',
          'x-amz-server-side-encryption-aws-kms-key-id': sseKmsKeyId,
        }),
  };
}

const bodyHeaders = ({ size, crc32, sha256 }: SizedBody) => ({
  'content-length': String(size),
  'x-amz-content-sha256': sha256 ?? 'UNSIGNED-PAYLOAD',
  ...(crc32 === undefined ? {} : { 'x-amz-checksum-crc32': crc32Base64(crc32) }),
});

function completeBody({ parts, crc32 }: CompleteRequest): string {
  const rows = [...parts]
    .sort((a, b) => a.number - b.number)
    .map(({ number, etag, crc32: partCrc32 }) => {
      const checksum = crc32 === undefined ? '' : `<ChecksumCRC32>${crc32Base64(partCrc32)}</ChecksumCRC32>`;
      return `<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag>${checksum}</Part>`;
    });
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${rows.join('')}</CompleteMultipartUpload>`;
}

const storedAnswer = ({ headers }: ExchangeAnswer): StoredAnswer => ({
  etag: headers['etag'],
  versionId: headers['x-amz-version-id'],
  requestId: headers['x-amz-request-id'],
  crc32: headers['x-amz-checksum-crc32'],
});

/** S3's error document, at whatever status (Complete sends one with 200), as a failure. */
function answeredFailure({ status, headers, body }: ExchangeAnswer): S3Failure {
  const code = elementText(body, 'Code') ?? (status === 412 ? 'PreconditionFailed' : `HTTP ${status}`);
  const serverTime = Date.parse(elementText(body, 'ServerTime') ?? headers['date'] ?? '');
  return new S3Failure({
    code,
    message: elementText(body, 'Message') ?? '',
    // an error document behind a 200 is the failure of an act that S3 had begun
    status: status < 300 ? 500 : status,
    requestId: headers['x-amz-request-id'] ?? elementText(body, 'RequestId'),
    region: headers['x-amz-bucket-region'] ?? elementText(body, 'Region'),
    clockAheadMs: Number.isNaN(serverTime) ? undefined : Date.now() - serverTime,
  });
}

const notUnderstood = ({ status, headers, body }: ExchangeAnswer) =>
  new S3Failure({
    code: 'NotUnderstood',
    message: `an answer that is not S3's: ${body.slice(0, 100)}`,
    status: status < 300 ? 500 : status,
    requestId: headers['x-amz-request-id'],
  });
