import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { AwsCredentialIdentityProvider } from '@smithy/types';
import type { BucketEndpoint } from './endpoint.ts';

export interface UnsignedRequest {
  readonly method: string;
  /** Encoded, below the endpoint's base path. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
}

export interface RequestSigner {
  /** The headers to send: those given, `host`, and the signature's. Needs `x-amz-content-sha256` among those given. */
  sign(request: UnsignedRequest): Promise<Record<string, string>>;
  /** From here on requests are dated as the server would: S3 refuses what is over 15 minutes off. */
  correctClock(clockAheadMs: number): void;
}

/** Signs with the SDK's own signer. Credentials are asked for each request: their provider caches and renews them. */
export function createRequestSigner(
  endpoint: BucketEndpoint,
  credentials: AwsCredentialIdentityProvider,
): RequestSigner {
  const url = new URL(endpoint.origin);
  const signer = new SignatureV4({
    credentials,
    region: endpoint.signingRegion,
    service: endpoint.signingName,
    sha256: NodeSha256,
    // S3 alone signs the path as it is sent
    uriEscapePath: false,
    applyChecksum: false,
  });
  let clockAheadMs = 0;
  return {
    async sign({ method, path, query, headers }) {
      const signed = await signer.sign(
        {
          method,
          protocol: url.protocol,
          hostname: url.hostname,
          path,
          query: query as Record<string, string>,
          headers: { ...headers, host: url.host },
        },
        { signingDate: new Date(Date.now() - clockAheadMs) },
      );
      return signed.headers;
    },
    correctClock(ahead) {
      clockAheadMs = ahead;
    },
  };
}

/** The signer wants a class that hashes, or HMACs where it is given a secret. */
class NodeSha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as NodeJS.ArrayBufferView);
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error('not used by the signer');
  }
}
