import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { codeOf, messageOf } from '../service/errors.ts';
import { ExchangeFailed } from '../service/http-exchange.ts';
import type { Pace } from './bandwidth.ts';
import {
  type BucketFacts,
  type CompleteRequest,
  completeAnswerMs,
  crc32Base64,
  type IfAbsent,
  type ObjectHead,
  type S3Calls,
  type SizedBody,
} from './calls.ts';
import { S3Failure } from './failure.ts';

export interface SdkCallsOptions extends BucketFacts {
  /** With `maxAttempts: 1`. */
  readonly client: S3Client;
  /** Awaited before a body is sent, once for all of it. */
  readonly pace?: Pace | undefined;
}

/** S3's requests by AWS's own client: for buckets that need more than a plain signature, and for `lib-storage`. */
export function createSdkCalls({ client, bucket, pace, ...facts }: SdkCallsOptions): S3Calls {
  const place = {
    Bucket: bucket,
    ...(facts.expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: facts.expectedBucketOwner }),
  };
  const head = ({ key, contentType, metadata }: ObjectHead) => ({
    ...place,
    Key: key,
    ContentType: contentType,
    Metadata: { ...metadata },
    ...(facts.storageClass === undefined ? {} : { StorageClass: facts.storageClass as 'STANDARD' }),
    ...(facts.sseKmsKeyId === undefined
      ? {}
      : { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: facts.sseKmsKeyId }),
  });

  /** Sends what `send` makes; once more with new credentials where S3 says that these have expired. */
  async function ask<T>(signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    try {
      return await send().catch(async (error: { name?: string }) => {
        if (error.name !== 'ExpiredToken') throw error;
        await client.config.credentials({ forceRefresh: true });
        return await send();
      });
    } catch (error) {
      signal.throwIfAborted();
      throw sdkFailure(error);
    }
  }

  return {
    async putObject(object, { signal, turn }) {
      using _turn = await turn?.();
      await pace?.(object.size, signal);
      const input = { ...head(object), ...ifAbsent(object) };
      const command = () => new PutObjectCommand({ ...input, ...sized(object) });
      return answerOf(await ask(signal, () => client.send(command(), { abortSignal: signal })));
    },

    async createMultipartUpload(object, { signal }) {
      const command = new CreateMultipartUploadCommand({
        ...head(object),
        ...(object.checksummed ? { ChecksumAlgorithm: 'CRC32' as const, ChecksumType: 'FULL_OBJECT' as const } : {}),
      });
      const { UploadId } = await ask(signal, () => client.send(command, { abortSignal: signal }));
      if (UploadId === undefined) throw new S3Failure({ code: 'NotUnderstood', message: 'no upload id', status: 500 });
      return { uploadId: UploadId };
    },

    async uploadPart(part, { signal }) {
      await pace?.(part.size, signal);
      const input = { ...place, Key: part.key, UploadId: part.uploadId, PartNumber: part.number };
      const command = () => new UploadPartCommand({ ...input, ...sized(part) });
      return answerOf(await ask(signal, () => client.send(command(), { abortSignal: signal })));
    },

    async completeMultipartUpload(upload, { signal }) {
      const { key, uploadId, size, crc32 } = upload;
      const command = new CompleteMultipartUploadCommand({
        ...place,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: { Parts: completedParts(upload) },
        MpuObjectSize: size,
        ...(crc32 === undefined ? {} : { ChecksumType: 'FULL_OBJECT' as const, ChecksumCRC32: crc32Base64(crc32) }),
        ...ifAbsent(upload),
      });
      const options = { abortSignal: signal, requestTimeout: completeAnswerMs };
      return answerOf(await ask(signal, () => client.send(command, options)));
    },

    async abortMultipartUpload({ key, uploadId }, { signal }) {
      const command = new AbortMultipartUploadCommand({ ...place, Key: key, UploadId: uploadId });
      await ask(signal, () => client.send(command, { abortSignal: signal }));
    },
  };
}

const ifAbsent = ({ onlyIfAbsent }: IfAbsent) => (onlyIfAbsent ? { IfNoneMatch: '*' } : {});

const completedParts = ({ parts, crc32 }: CompleteRequest) =>
  [...parts]
    .sort((a, b) => a.number - b.number)
    .map((part) => ({
      PartNumber: part.number,
      ETag: part.etag,
      ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32Base64(part.crc32) }),
    }));

/** Made for each attempt, for a stream serves one. */
const sized = ({ body, size, crc32 }: SizedBody) => ({
  Body: typeof body === 'function' ? Readable.from(body(), { objectMode: false }) : body,
  ContentLength: size,
  ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32Base64(crc32) }),
});

interface SdkAnswer {
  readonly $metadata: { readonly requestId?: string | undefined };
  readonly ETag?: string | undefined;
  readonly VersionId?: string | undefined;
  readonly ChecksumCRC32?: string | undefined;
}

const answerOf = (answer: SdkAnswer) => ({
  etag: answer.ETag,
  versionId: answer.VersionId,
  requestId: answer.$metadata.requestId,
  crc32: answer.ChecksumCRC32,
});

interface SdkError {
  readonly name?: string;
  readonly Region?: string;
  readonly ServerTime?: string | Date;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** What the SDK threw as an `S3Failure`; what is neither an answer nor a lost one (credentials…) as it is. */
export function sdkFailure(error: unknown): unknown {
  if (error instanceof ExchangeFailed) {
    const { code, message, mayHaveArrived } = error;
    return new S3Failure({ code, message, mayHaveArrived, cause: error });
  }
  const { name, $metadata, $response, Region, ServerTime } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  if (status === undefined) {
    const code = codeOf(error);
    return code === undefined ? error : new S3Failure({ code, message: messageOf(error), cause: error });
  }
  const serverTime = new Date(ServerTime ?? $response?.headers?.['date'] ?? Number.NaN).getTime();
  return new S3Failure({
    code: name ?? `HTTP ${status}`,
    message: messageOf(error),
    status: status < 300 ? 500 : status,
    requestId: $metadata?.requestId,
    region: Region ?? $response?.headers?.['x-amz-bucket-region'],
    clockAheadMs: Number.isNaN(serverTime) ? undefined : Date.now() - serverTime,
  });
}
