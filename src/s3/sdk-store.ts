import type { StoreOutcome, StoreRequest } from '../model.ts';
import type { S3Calls } from './calls.ts';
import { createS3Client, type S3ClientOptions } from './client.ts';
import type { StoreContext } from './context.ts';
import { storeByUpload } from './lib-storage.ts';
import { createSdkCalls, type SdkCallsOptions } from './sdk-calls.ts';

/** All that stores by AWS's own client. */
export interface SdkStore extends Disposable {
  readonly calls: S3Calls;
  storeByUpload(context: StoreContext, request: StoreRequest, signal: AbortSignal): Promise<StoreOutcome>;
}

export function createSdkStore(options: S3ClientOptions & Omit<SdkCallsOptions, 'client'>): SdkStore {
  const client = createS3Client({ ...options, maxAttempts: 1 });
  return {
    calls: createSdkCalls({ ...options, client }),
    storeByUpload: (context, request, signal) => storeByUpload({ ...context, client }, request, signal),
    [Symbol.dispose]: () => client.destroy(),
  };
}
