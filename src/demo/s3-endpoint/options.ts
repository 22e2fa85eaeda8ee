import type { OperationName } from './request.ts';

/** Somebody who may sign requests. */
export interface EndpointCredential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** A temporary credential: requests must carry this token as `x-amz-security-token`. */
  readonly sessionToken?: string;
  /** Answer `ExpiredToken`. */
  readonly expired?: boolean;
  /** `write-only`: PutObject, the multipart calls that put, AbortMultipartUpload; everything else is `AccessDenied`. */
  readonly role: 'owner' | 'write-only';
  /** Keys that a `write-only` credential may write begin with this, in every bucket. */
  readonly prefix?: string;
}

export interface S3EndpointOptions {
  /**
   * Where everything is kept, created if it is missing: a folder a bucket with its objects as plain files, and
   * `.metadata` with what S3 knows beside the bytes. It can be opened again later; by one endpoint at a time.
   */
  readonly directory: string;
  /** Looked up at each request: a test may change the list while the endpoint runs. */
  readonly credentials: readonly EndpointCredential[];
  /** Of the endpoint and of the buckets that name none. */
  readonly region?: string;
  /** Created at start where they don't exist. */
  readonly buckets?: readonly (string | { readonly name: string; readonly region: string })[];
  /** On 127.0.0.1; 0, the default, takes a free one. */
  readonly port?: number;
  /** PEM. Speaks HTTPS, and HTTPS alone, with it. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  readonly accountId?: string;
  /**
   * `md5`, as S3 has it for unencrypted objects, or `opaque`, as S3 has it with SSE-KMS: random, and half the work for
   * the endpoint, since nothing else needs an MD5.
   */
  readonly etags?: 'md5' | 'opaque';
  /** Asked once for every request, before anything else is done. */
  readonly faults?: FaultHook;
  /** Told after every request that was answered (not those that a fault cut off). */
  readonly onAnswer?: (answered: {
    readonly request: FaultRequest;
    readonly status: number;
    readonly code?: string;
  }) => void;
  /** Milliseconds since 1970, to play a client whose clock is wrong. */
  readonly now?: () => number;
}

/** What a fault can depend on. Nothing of it is verified yet: the signature is checked later. */
export interface FaultRequest {
  readonly method: string;
  readonly operation: OperationName;
  /** Empty where the request names none. */
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** 1 for the first request of this operation for this key (and part number). */
  readonly attempt: number;
  /** 1 for the first request to this endpoint. */
  readonly number: number;
}

export type Fault =
  /** Answered so, with nothing done. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly code: string;
      readonly message?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The error stands in the body of a 200, as S3 may do at CompleteMultipartUpload; nothing is done. */
  | { readonly kind: 'error-in-200'; readonly code: string; readonly message?: string }
  /** The socket is cut with nothing done: at once, or when so many bytes of the body have come. */
  | { readonly kind: 'reset-before'; readonly afterBytes?: number }
  /** The work is done, its answer lost: the socket is cut. */
  | { readonly kind: 'reset-after' }
  /** Never answered; the socket stays open until the client gives up. With `work`, all but the answer is done. */
  | { readonly kind: 'hang'; readonly work?: boolean }
  /** Waits first, then goes on: as usual, or with another fault. */
  | { readonly kind: 'delay'; readonly ms: number; readonly then?: Fault };

export type FaultHook = (request: FaultRequest) => Fault | undefined | Promise<Fault | undefined>;

export interface S3Endpoint extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, `https://…` with TLS. */
  readonly url: string;
  readonly port: number;
  /** Stops listening, cuts what is in flight, closes the files. The directory stays. */
  [Symbol.asyncDispose](): Promise<void>;
}
