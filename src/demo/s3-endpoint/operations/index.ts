import type { Operation } from '../call.ts';
import type { OperationName } from '../request.ts';
import { s3Error } from '../s3-error.ts';
import * as buckets from './buckets.ts';
import * as listing from './listing.ts';
import * as multipart from './multipart.ts';
import * as multipartListing from './multipart-listing.ts';
import * as objects from './objects.ts';

/** The S3 operations that this endpoint has; STS's is answered apart. */
export const operations: Readonly<Record<Exclude<OperationName, 'GetCallerIdentity'>, Operation>> = {
  ListBuckets: buckets.listBuckets,
  CreateBucket: buckets.createBucket,
  HeadBucket: buckets.headBucket,
  DeleteBucket: buckets.deleteBucket,
  GetBucketLocation: buckets.getBucketLocation,
  ListObjects: listing.listObjects,
  ListObjectsV2: listing.listObjectsV2,
  PutObject: objects.putObject,
  GetObject: objects.getObject,
  HeadObject: objects.headObject,
  DeleteObject: objects.deleteObject,
  DeleteObjects: objects.deleteObjects,
  CreateMultipartUpload: multipart.createMultipartUpload,
  UploadPart: multipart.uploadPart,
  CompleteMultipartUpload: multipart.completeMultipartUpload,
  AbortMultipartUpload: multipart.abortMultipartUpload,
  ListParts: multipartListing.listParts,
  ListMultipartUploads: multipartListing.listMultipartUploads,
  NotImplemented: ({ request }) => {
    throw s3Error('NotImplemented', { message: `${request.method} with these parameters is not implemented here` });
  },
};
