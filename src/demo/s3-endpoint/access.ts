import type { Call } from './call.ts';
import type { EndpointCredential } from './options.ts';
import { header, type OperationName, type S3Request } from './request.ts';
import { s3Error } from './s3-error.ts';
import type { ObjectStore } from './store/object-store.ts';

/** Operation → the right that IAM calls it by; what `s3:PutObject` and `s3:AbortMultipartUpload` allow is below. */
const rights: Readonly<Record<Exclude<OperationName, 'GetCallerIdentity'>, string>> = {
  ListBuckets: 's3:ListAllMyBuckets',
  CreateBucket: 's3:CreateBucket',
  HeadBucket: 's3:ListBucket',
  DeleteBucket: 's3:DeleteBucket',
  GetBucketLocation: 's3:GetBucketLocation',
  ListObjects: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  DeleteObjects: 's3:DeleteObject',
  PutObject: 's3:PutObject',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  DeleteObject: 's3:DeleteObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  ListParts: 's3:ListMultipartUploadParts',
  NotImplemented: 's3:Unknown',
};

const writeOnlyRights = new Set(['s3:PutObject', 's3:AbortMultipartUpload']);

/** The caller's name, as IAM writes it. */
export function arnOf(credential: EndpointCredential, accountId: string): string {
  return credential.sessionToken === undefined
    ? `arn:aws:iam::${accountId}:user/${credential.role}`
    : `arn:aws:sts::${accountId}:assumed-role/${credential.role}/${credential.accessKeyId}`;
}

/** Throws AccessDenied where the role doesn't allow it. A bucket that does not exist is NoSuchBucket to everybody. */
export function authorize(
  request: S3Request,
  credential: EndpointCredential,
  { store, accountId }: { readonly store: ObjectStore; readonly accountId: string },
): void {
  if (request.operation === 'GetCallerIdentity') return;
  if (request.bucket !== '' && request.operation !== 'CreateBucket') store.bucket(request.bucket);
  const expectedOwner = header(request, 'x-amz-expected-bucket-owner');
  if (expectedOwner !== undefined && expectedOwner !== accountId) throw s3Error('AccessDenied');
  if (credential.role === 'owner') return;
  const right = rights[request.operation];
  if (writeOnlyRights.has(right) && request.key.startsWith(credential.prefix ?? '')) return;
  const resource = [request.bucket, request.key].filter((part) => part !== '').join('/') || '*';
  throw s3Error('AccessDenied', {
    message:
      `User: ${arnOf(credential, accountId)} is not authorized to perform: ${right} ` +
      `on resource: "arn:aws:s3:::${resource}" because no identity-based policy allows the ${right} action`,
  });
}

/** Throws PermanentRedirect where the bucket lives in another region than this endpoint. */
export function requireRegion({ request, store, endpoint }: Pick<Call, 'request' | 'store' | 'endpoint'>): void {
  if (request.bucket === '' || !store.hasBucket(request.bucket) || request.operation === 'GetBucketLocation') return;
  const { region } = store.bucket(request.bucket);
  if (region === endpoint.region) return;
  throw s3Error('PermanentRedirect', {
    details: { Bucket: request.bucket, Endpoint: `${request.bucket}.s3.${region}.amazonaws.com` },
    headers: { 'x-amz-bucket-region': region },
  });
}
