import { createHash, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  type CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  S3Client,
  UploadPartCommand,
  type UploadPartCommandInput,
} from '@aws-sdk/client-s3';
import { type Credentials, type RawAnswer, type RawRequest, sendSigned } from '../signed-request.ts';

/** A server to put questions to. */
export interface ConformanceServer {
  readonly url: string;
  readonly region: string;
  /** May do everything. */
  readonly owner: Credentials;
  /** May put, and abort what it put, under `writeOnlyPrefix`. */
  readonly writeOnly: Credentials;
  readonly writeOnlyPrefix: string;
  /** Exists. */
  readonly bucket: string;
}

export const mebibyte = 1024 * 1024;
export const md5Hex = (data: string | Buffer): string => createHash('md5').update(data).digest('hex');
export const base64Md5 = (data: string | Buffer): string => createHash('md5').update(data).digest('base64');

/** A client, a bucket, and names that no other test uses. */
export interface Probe {
  readonly server: ConformanceServer;
  readonly bucket: string;
  readonly s3: S3Client;
  readonly writeOnly: S3Client;
  /** All keys of this test begin so. */
  readonly prefix: string;
  key(name: string): string;
  /** The same, where the write-only credentials may write. */
  writableKey(name: string): string;
  put(key: string, body: string, more?: Partial<PutObjectCommandInput>): Promise<PutObjectCommandOutput>;
  text(key: string): Promise<string>;
  /** All keys of this test, without its prefix, in the server's order. */
  keys(): Promise<string[]>;
  startUpload(key: string, more?: Partial<CreateMultipartUploadCommandInput>): Promise<MultipartUpload>;
  /** As the owner unless it says otherwise. `path` and `query` are decoded. */
  raw(request: RawRequest): Promise<RawAnswer>;
  /** `raw`, for an object of the bucket. */
  rawObject(method: string, key: string, request?: Partial<RawRequest>): Promise<RawAnswer>;
  forOneTest(): Probe;
  close(): void;
}

export interface MultipartUpload {
  readonly id: string;
  readonly address: { readonly Bucket: string; readonly Key: string; readonly UploadId: string };
  part(number: number, body: string | Buffer, more?: Partial<UploadPartCommandInput>): Promise<CompletedPart>;
  complete(
    parts: CompletedPart[],
    more?: Partial<CompleteMultipartUploadCommandInput>,
  ): Promise<CompleteMultipartUploadCommandOutput>;
}

/** The SDK as plain as it can be: no retries that hide an answer, no checksums but those that a test asks for. */
function clientOf({ url, region }: ConformanceServer, credentials: Credentials): S3Client {
  return new S3Client({
    endpoint: url,
    region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

export function createProbe(server: ConformanceServer): Probe {
  const s3 = clientOf(server, server.owner);
  const writeOnly = clientOf(server, server.writeOnly);
  const endpoint = { url: server.url, region: server.region, credentials: server.owner };
  const { bucket: Bucket } = server;

  function forOneTest(): Probe {
    const prefix = `${randomUUID().slice(0, 8)}/`;
    const raw = (request: RawRequest) => sendSigned(endpoint, request);
    return {
      server,
      bucket: Bucket,
      s3,
      writeOnly,
      prefix,
      key: (name) => prefix + name,
      writableKey: (name) => server.writeOnlyPrefix + prefix + name,
      put: (Key, body, more) => s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from(body), ...more })),
      async text(Key) {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        return (await buffer(Body as AsyncIterable<Uint8Array>)).toString('utf8');
      },
      async keys() {
        const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
        return Contents.map(({ Key = '' }) => Key.slice(prefix.length));
      },
      startUpload: (Key, more) => startUpload(s3, { Bucket, Key, ...more }),
      raw,
      rawObject: (method, key, request) => raw({ method, path: `/${Bucket}/${key}`, ...request }),
      forOneTest,
      close() {
        s3.destroy();
        writeOnly.destroy();
      },
    };
  }
  return forOneTest();
}

export async function startUpload(s3: S3Client, input: CreateMultipartUploadCommandInput): Promise<MultipartUpload> {
  const { UploadId = '' } = await s3.send(new CreateMultipartUploadCommand(input));
  const address = { Bucket: input.Bucket ?? '', Key: input.Key ?? '', UploadId };
  return {
    id: UploadId,
    address,
    async part(PartNumber, Body, more) {
      const { ETag, ChecksumCRC32 } = await s3.send(new UploadPartCommand({ ...address, PartNumber, Body, ...more }));
      return { PartNumber, ETag, ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }) };
    },
    complete: (Parts, more) =>
      s3.send(new CompleteMultipartUploadCommand({ ...address, MultipartUpload: { Parts }, ...more })),
  };
}
