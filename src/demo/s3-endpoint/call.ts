import type { ChecksumAlgorithm } from './checksums.ts';
import type { S3EndpointOptions } from './options.ts';
import {
  announcedLength,
  type PayloadWishes,
  type ReceivedPayload,
  receiveDocument,
  receivePayload,
} from './payload.ts';
import { header, type S3Request } from './request.ts';
import { s3Error } from './s3-error.ts';
import type { Authentication } from './signature.ts';
import type { ObjectStore, OpenedObject } from './store/object-store.ts';
import type { StagedFile } from './store/staging.ts';

/** The endpoint itself, as the operations see it. */
export interface EndpointParts {
  readonly store: ObjectStore;
  readonly region: string;
  readonly accountId: string;
  readonly etags: NonNullable<S3EndpointOptions['etags']>;
  readonly now: () => number;
}

/** One authenticated, authorised request. */
export interface Call {
  readonly endpoint: EndpointParts;
  readonly store: ObjectStore;
  readonly request: S3Request;
  readonly bucket: string;
  readonly key: string;
  /** Reads the body as a small text, verified. */
  readText(wishes?: Pick<PayloadWishes, 'checksumIsOfObject'>): Promise<string>;
  /** Reads the body into a finished staged file, verified; the caller moves or disposes of it. */
  readFile(wishes: { readonly checksum?: ChecksumAlgorithm | undefined }): Promise<ReceivedFile>;
}

export interface ReceivedFile extends AsyncDisposable {
  readonly staged: StagedFile;
  readonly payload: ReceivedPayload;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number | undefined>>;
  /** XML, or a piece of an object's file: `start` and `end` are both inclusive. */
  readonly body?: string | { readonly object: OpenedObject; readonly start: number; readonly end: number };
}

export type Operation = (call: Call) => Answer | Promise<Answer>;

/** "The maximum size of a single put or part is 5 GiB" (S3 user guide, "Multipart upload limits"). */
const maxPutBytes = 5 * 1024 ** 3;
/** A list of 10,000 parts with their checksums has about 2 MB. */
const maxDocumentBytes = 4 * 1024 * 1024;

export function createCall(
  endpoint: EndpointParts,
  request: S3Request,
  authentication: Authentication,
  onStart: () => void,
): Call {
  const { store, etags } = endpoint;
  return {
    endpoint,
    store,
    request,
    bucket: request.bucket,
    key: request.key,
    async readText(wishes) {
      const maxBytes = maxDocumentBytes;
      return (await receiveDocument(request, authentication, { ...wishes, maxBytes, onStart })).toString('utf8');
    },
    async readFile({ checksum }) {
      const size = announcedLength(request);
      if (size > maxPutBytes) {
        throw s3Error('EntityTooLarge', {
          details: { ProposedSize: String(size), MaxSizeAllowed: String(maxPutBytes) },
        });
      }
      const wishes: PayloadWishes = { md5: etags === 'md5', checksum, onStart };
      const staged = store.stage();
      try {
        const payload = await receivePayload(request, authentication, staged, wishes);
        await staged.finish();
        return { staged, payload, [Symbol.asyncDispose]: () => staged[Symbol.asyncDispose]() };
      } catch (error) {
        await staged[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

/** A whole number from a query parameter. Throws InvalidArgument outside of the bounds. */
export function numberOf(
  call: Pick<Call, 'request'>,
  name: string,
  bounds: { min: number; max: number; usual: number },
) {
  const text = call.request.query.get(name);
  if (text === undefined || text === '') return bounds.usual;
  const value = Number(text);
  if (!/^\d{1,10}$/.test(text) || value < bounds.min) {
    throw s3Error('InvalidArgument', { details: { ArgumentName: name, ArgumentValue: text } });
  }
  return Math.min(value, bounds.max);
}

/** Whether `If-None-Match: *` is asked for. Conditions that this endpoint does not have are refused, not ignored. */
export function onlyIfAbsent(call: Pick<Call, 'request'>): boolean {
  const condition = header(call.request, 'if-none-match');
  if (header(call.request, 'if-match') !== undefined || (condition !== undefined && condition !== '*')) {
    throw s3Error('NotImplemented');
  }
  return condition !== undefined;
}
