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
import { type BucketFacts, crc32Base64, type ObjectHead, type S3Calls, type SizedBody } from './calls.ts';
import { S3Failure } from './failure.ts';

export interface SdkCallsOptions extends BucketFacts {
  /** With `maxAttempts: 1`. */
  readonly client: S3Client;
  readonly pace?: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined;
}

const completeAnswerMs = 300_000;

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

  return {
    async putObject(object, { signal }) {
      await pace?.(object.size, signal);
      const command = new PutObjectCommand({
        ...head(object),
        ...sized(object),
        ...(object.onlyIfAbsent ? { IfNoneMatch: '*' } : {}),
      });
      return answerOf(await ask(signal, () => client.send(command, { abortSignal: signal })));
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
      const command = new UploadPartCommand({
        ...place,
        Key: part.key,
        UploadId: part.uploadId,
        PartNumber: part.number,
        ...sized(part),
      });
      return answerOf(await ask(signal, () => client.send(command, { abortSignal: signal })));
    },

    async completeMultipartUpload({ key, uploadId, parts, size, crc32, onlyIfAbsent }, { signal }) {
      const command = new CompleteMultipartUploadCommand({
        ...place,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: {
          Parts: [...parts]
            .sort((a, b) => a.number - b.number)
            .map((part) => ({
              PartNumber: part.number,
              ETag: part.etag,
              ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32Base64(part.crc32) }),
            })),
        },
        MpuObjectSize: size,
        ...(crc32 === undefined ? {} : { ChecksumType: 'FULL_OBJECT' as const, ChecksumCRC32: crc32Base64(crc32) }),
        ...(onlyIfAbsent ? { IfNoneMatch: '*' } : {}),
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

async function ask<T>(signal: AbortSignal, send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    signal.throwIfAborted();
    throw sdkFailure(error);
  }
}

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
    cause: error,
  });
}
