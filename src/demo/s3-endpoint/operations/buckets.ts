import type { Call, Operation } from '../call.ts';
import { s3Error } from '../s3-error.ts';
import { childText, parseXml, xmlDocument } from '../xml.ts';

const owner = (call: Call) => ({ ID: call.endpoint.accountId, DisplayName: 'owner' });

export const listBuckets: Operation = (call) => ({
  status: 200,
  body: xmlDocument('ListAllMyBucketsResult', {
    Owner: owner(call),
    Buckets: {
      Bucket: call.store.buckets().map(({ name, createdMs }) => ({
        Name: name,
        CreationDate: new Date(createdMs).toISOString(),
      })),
    },
  }),
});

export const createBucket: Operation = async (call) => {
  const { store, bucket, endpoint } = call;
  checkBucketName(bucket);
  const text = await call.readText();
  const document = text === '' ? undefined : parseXml(text);
  if (text !== '' && document === undefined) throw s3Error('MalformedXML');
  const location = document && childText(document, 'LocationConstraint');
  if (location !== undefined && location !== endpoint.region) {
    throw s3Error('IllegalLocationConstraintException', {
      message: `The ${location} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    });
  }
  if (store.hasBucket(bucket)) {
    // us-east-1 alone answers 200 to the owner (S3 API reference, CreateBucket).
    if (endpoint.region !== 'us-east-1') throw s3Error('BucketAlreadyOwnedByYou', { details: { BucketName: bucket } });
  } else {
    store.createBucket(bucket, endpoint.region);
  }
  return { status: 200, headers: { location: `/${bucket}` } };
};

/** "Bucket naming rules" of the S3 user guide. */
export function checkBucketName(name: string): void {
  const fits = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^\d+(\.\d+){3}$/.test(name);
  if (!fits) throw s3Error('InvalidBucketName', { details: { BucketName: name } });
}

export const headBucket: Operation = (call) => ({
  status: 200,
  headers: { 'x-amz-bucket-region': call.store.bucket(call.bucket).region },
});

export const deleteBucket: Operation = ({ store, bucket }) => {
  store.deleteBucket(bucket);
  for (const upload of store.uploads.open(bucket)) store.uploads.abort(upload);
  return { status: 204 };
};

/** Buckets of us-east-1 answer an empty one. */
export const getBucketLocation: Operation = ({ store, bucket }) => {
  const { region } = store.bucket(bucket);
  return { status: 200, body: xmlDocument('LocationConstraint', region === 'us-east-1' ? '' : region) };
};
