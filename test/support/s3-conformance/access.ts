import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { type Behaviours, outcome, outcomes } from './behaviour.ts';
import { mebibyte, type Probe, startUpload } from './probe.ts';

const denied = { status: 403, code: 'AccessDenied' };
/** An answer to HEAD has no body that could name the error. */
const deniedHead = { status: 403, code: 'Unknown' };
const fine = { status: 200 };

/** What somebody may do who may only write: `s3:PutObject` and `s3:AbortMultipartUpload` under a prefix. */
export const accessBehaviours: Behaviours = {
  'write-only credentials put objects under their prefix': {
    s3: 'hello',
    async observe(probe) {
      const address = { Bucket: probe.bucket, Key: probe.writableKey('a') };
      await probe.writeOnly.send(new PutObjectCommand({ ...address, Body: 'hello' }));
      return probe.text(address.Key);
    },
  },
  'write-only credentials put with If-None-Match': {
    s3: { first: fine, second: { status: 412, code: 'PreconditionFailed' } },
    async observe(probe) {
      const input = { Bucket: probe.bucket, Key: probe.writableKey('a'), Body: 'x', IfNoneMatch: '*' };
      const put = () => outcome(probe.writeOnly.send(new PutObjectCommand(input)));
      return outcomes({ first: put, second: put });
    },
  },
  'write-only credentials make and abort multipart uploads': {
    s3: { complete: fine, abort: { status: 204 } },
    async observe(probe) {
      const begin = () => startUpload(probe.writeOnly, { Bucket: probe.bucket, Key: probe.writableKey('large') });
      const first = await begin();
      const parts = [await first.part(1, Buffer.alloc(5 * mebibyte)), await first.part(2, 'end')];
      const second = await begin();
      return outcomes({
        complete: () => outcome(first.complete(parts)),
        abort: () => outcome(probe.writeOnly.send(new AbortMultipartUploadCommand(second.address))),
      });
    },
  },
  'write-only credentials put nothing outside of their prefix': {
    s3: denied,
    observe: (probe) =>
      outcome(probe.writeOnly.send(new PutObjectCommand({ Bucket: probe.bucket, Key: probe.key('a'), Body: 'x' }))),
  },
  'write-only credentials read, list and delete nothing, not even their own': {
    s3: { get: denied, head: deniedHead, missing: deniedHead, remove: denied, list: denied, bucket: deniedHead },
    async observe(probe) {
      const { writeOnly, bucket: Bucket } = probe;
      const address = { Bucket, Key: probe.writableKey('a') };
      await writeOnly.send(new PutObjectCommand({ ...address, Body: 'x' }));
      return outcomes({
        get: () => outcome(writeOnly.send(new GetObjectCommand(address))),
        head: () => outcome(writeOnly.send(new HeadObjectCommand(address))),
        missing: () => outcome(writeOnly.send(new HeadObjectCommand({ Bucket, Key: probe.writableKey('nothing') }))),
        remove: () => outcome(writeOnly.send(new DeleteObjectCommand(address))),
        list: () => outcome(writeOnly.send(new ListObjectsV2Command({ Bucket }))),
        bucket: () => outcome(writeOnly.send(new HeadBucketCommand({ Bucket }))),
      });
    },
  },
  'write-only credentials see no multipart uploads and no parts': {
    s3: { uploads: denied, parts: denied },
    async observe(probe) {
      const { writeOnly, bucket: Bucket } = probe;
      const upload = await startUpload(writeOnly, { Bucket, Key: probe.writableKey('a') });
      return outcomes({
        uploads: () => outcome(writeOnly.send(new ListMultipartUploadsCommand({ Bucket }))),
        parts: () => outcome(writeOnly.send(new ListPartsCommand(upload.address))),
      });
    },
  },
  'write-only credentials list no buckets': {
    s3: denied,
    observe: (probe) => outcome(probe.writeOnly.send(new ListBucketsCommand({}))),
  },
  'write-only credentials create no buckets': {
    s3: denied,
    observe: (probe) => outcome(probe.writeOnly.send(new CreateBucketCommand({ Bucket: 'one-of-its-own' }))),
  },
  'a bucket that does not exist is that to everybody': {
    s3: { owner: { status: 404, code: 'NoSuchBucket' }, writeOnly: { status: 404, code: 'NoSuchBucket' } },
    observe(probe) {
      const put = new PutObjectCommand({ Bucket: 'no-such-bucket', Key: probe.writableKey('a'), Body: 'x' });
      return outcomes({
        owner: () => outcome(probe.s3.send(put)),
        writeOnly: () => outcome(probe.writeOnly.send(put)),
      });
    },
  },
  'GetCallerIdentity names the caller, whatever the rights': {
    s3: { owner: { status: 200, arn: true }, writeOnly: { status: 200, arn: true } },
    async observe(probe) {
      const { owner, writeOnly } = probe.server;
      return { owner: await callerIdentity(probe, owner), writeOnly: await callerIdentity(probe, writeOnly) };
    },
  },
  'GetCallerIdentity refuses a wrong secret': {
    s3: { status: 403, code: 'SignatureDoesNotMatch' },
    observe: (probe) => callerIdentity(probe, { ...probe.server.owner, secretAccessKey: 'wrong' }),
  },
};

async function callerIdentity(probe: Probe, credentials: Probe['server']['owner']) {
  const { status, code, text } = await probe.raw({
    method: 'POST',
    path: '/',
    service: 'sts',
    credentials,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'Action=GetCallerIdentity&Version=2011-06-15',
  });
  return code === undefined ? { status, arn: /<Arn>arn:aws:[^<]+<\/Arn>/.test(text) } : { status, code };
}
