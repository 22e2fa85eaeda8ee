/** Where a daemon under test puts its objects, and the owner's look at them. */
import { createHash } from 'node:crypto';
import { Agent } from 'node:https';
import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {
  type EndpointCredential,
  type FaultHook,
  type FaultRequest,
  type S3EndpointOptions,
  startS3Endpoint,
} from '../../src/demo/s3-endpoint/index.ts';

export interface StoreKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A bucket, and two who may use it. */
export interface Store {
  readonly url: string;
  readonly region: string;
  readonly bucket: string;
  /** What the daemon may write under. */
  readonly prefix: string;
  /** May do everything. */
  readonly owner: StoreKeys;
  /** May put and abort, under the prefix. */
  readonly writer: StoreKeys;
  /** PEM, where it speaks TLS with an authority of its own. */
  readonly ca?: string;
}

export interface ObjectOwner extends Disposable {
  /** Size in bytes by key, prefix included. */
  sizes(): Promise<Map<string, number>>;
  /** Hex, of the object's bytes. */
  sha256(key: string): Promise<string>;
  put(key: string, content: string): Promise<void>;
  /** Keys of unfinished multipart uploads that hold parts. */
  unfinished(): Promise<string[]>;
}

export function ownerOf({ url, region, bucket, owner, ca }: Store): ObjectOwner {
  const client = new S3Client({
    endpoint: url,
    region,
    credentials: owner,
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(ca !== undefined && { requestHandler: { httpsAgent: new Agent({ ca }) } }),
  });
  return {
    async sizes() {
      const found = new Map<string, number>();
      let token: string | undefined;
      do {
        // XML cannot carry every character that a key can have
        const page = await client.send(
          new ListObjectsV2Command({ Bucket: bucket, EncodingType: 'url', ContinuationToken: token }),
        );
        for (const { Key = '', Size = 0 } of page.Contents ?? []) found.set(decodeKey(Key), Size);
        token = page.NextContinuationToken;
      } while (token !== undefined);
      return found;
    },
    async sha256(key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      const hash = createHash('sha256');
      for await (const chunk of Body as Readable) hash.update(chunk as Buffer);
      return hash.digest('hex');
    },
    async put(key, content) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: content }));
    },
    async unfinished() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      const keys: string[] = [];
      for (const { Key, UploadId } of Uploads) {
        const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket: bucket, Key, UploadId }));
        if (Parts.length > 0) keys.push(String(Key));
      }
      return keys;
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}

const decodeKey = (key: string): string => decodeURIComponent(key.replaceAll('+', ' '));

/** A request that the endpoint answered. */
export interface Answered {
  readonly operation: FaultRequest['operation'];
  readonly key: string;
  readonly status: number;
}

/** The project's own endpoint, in the hands of a test. */
export interface LocalStore extends Store, AsyncDisposable {
  /** Who may sign; a test may change it at any time. */
  readonly credentials: EndpointCredential[];
  /** Asked for each request while it is set. */
  faults: FaultHook | undefined;
  /** In the order of the answers. */
  readonly answered: readonly Answered[];
  /** How many answers there were to this operation, 2xx or all. */
  count(operation: Answered['operation'], kind?: 'ok' | 'all'): number;
  stop(): Promise<void>;
  /** Again, on the same port, with all that was stored. */
  start(): Promise<void>;
}

export async function startLocalStore(directory: string): Promise<LocalStore> {
  const owner = { accessKeyId: 'AKIATESTOWNER', secretAccessKey: 'owner-secret-of-the-test' };
  const writer = { accessKeyId: 'AKIATESTWRITER', secretAccessKey: 'writer-secret-of-the-test' };
  const bucket = 'drops';
  const prefix = 'in/';
  const region = 'eu-west-1';
  const credentials: EndpointCredential[] = [
    { ...owner, role: 'owner' },
    { ...writer, role: 'write-only', prefix },
  ];
  const answered: Answered[] = [];
  const options: S3EndpointOptions = {
    directory,
    region,
    buckets: [bucket],
    credentials,
    faults: (request) => store.faults?.(request),
    onAnswer: ({ request: { operation, key }, status }) => answered.push({ operation, key, status }),
  };
  let endpoint = await startS3Endpoint(options);
  const { url, port } = endpoint;
  const stop = () => endpoint[Symbol.asyncDispose]();
  const store: LocalStore = {
    ...{ url, region, bucket, prefix, owner, writer, credentials, answered },
    faults: undefined,
    count: (operation, kind = 'ok') =>
      answered.filter((one) => one.operation === operation && (kind === 'all' || one.status < 300)).length,
    stop,
    async start() {
      endpoint = await startS3Endpoint({ ...options, port });
    },
    [Symbol.asyncDispose]: stop,
  };
  return store;
}
