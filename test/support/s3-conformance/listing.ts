import { ListObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { Behaviours } from './behaviour.ts';
import type { Probe } from './probe.ts';

const names = ['B', 'a', 'a/1', 'a/2', 'b/1', 'b/2/3', 'c', 'z/1', 'é', '📷'];

async function putAll(probe: Probe): Promise<void> {
  await Promise.all(names.map((name) => probe.put(probe.key(name), name)));
}

/** Lists, as `verify` and rclone go through them. */
export const listingBehaviours: Behaviours = {
  'pages of keys come in the order of their UTF-8 bytes, each once': {
    s3: { keys: names, pages: 4 },
    async observe(probe) {
      await putAll(probe);
      const keys: string[] = [];
      let pages = 0;
      let token: string | undefined;
      do {
        const page = await probe.s3.send(
          new ListObjectsV2Command({
            Bucket: probe.bucket,
            Prefix: probe.prefix,
            MaxKeys: 3,
            ContinuationToken: token,
          }),
        );
        for (const { Key = '' } of page.Contents ?? []) keys.push(Key.slice(probe.prefix.length));
        token = page.NextContinuationToken;
        pages += 1;
      } while (token !== undefined);
      return { keys, pages };
    },
  },
  'a delimiter makes folders, also over pages': {
    s3: { keys: ['B', 'a', 'c', 'é', '📷'], prefixes: ['a/', 'b/', 'z/'] },
    async observe(probe) {
      await putAll(probe);
      const keys: string[] = [];
      const prefixes: string[] = [];
      let token: string | undefined;
      do {
        const page = await probe.s3.send(
          new ListObjectsV2Command({
            Bucket: probe.bucket,
            Prefix: probe.prefix,
            Delimiter: '/',
            MaxKeys: 2,
            ContinuationToken: token,
          }),
        );
        for (const { Key = '' } of page.Contents ?? []) keys.push(Key.slice(probe.prefix.length));
        for (const { Prefix = '' } of page.CommonPrefixes ?? []) prefixes.push(Prefix.slice(probe.prefix.length));
        token = page.NextContinuationToken;
      } while (token !== undefined);
      return { keys, prefixes };
    },
  },
  'version 1 of the list goes on behind a marker': {
    s3: { keys: ['B', 'a', 'c', 'é', '📷'], prefixes: ['a/', 'b/', 'z/'] },
    async observe(probe) {
      await putAll(probe);
      const keys: string[] = [];
      const prefixes: string[] = [];
      let marker: string | undefined;
      do {
        const page = await probe.s3.send(
          new ListObjectsCommand({
            Bucket: probe.bucket,
            Prefix: probe.prefix,
            Delimiter: '/',
            MaxKeys: 2,
            Marker: marker,
          }),
        );
        for (const { Key = '' } of page.Contents ?? []) keys.push(Key.slice(probe.prefix.length));
        for (const { Prefix = '' } of page.CommonPrefixes ?? []) prefixes.push(Prefix.slice(probe.prefix.length));
        marker = page.IsTruncated === true ? page.NextMarker : undefined;
      } while (marker !== undefined);
      return { keys, prefixes };
    },
  },
  'a list can begin behind a key': {
    s3: ['c', 'z/1', 'é', '📷'],
    async observe(probe) {
      await putAll(probe);
      const { Contents = [] } = await probe.s3.send(
        new ListObjectsV2Command({ Bucket: probe.bucket, Prefix: probe.prefix, StartAfter: probe.key('b/2/3') }),
      );
      return Contents.map(({ Key = '' }) => Key.slice(probe.prefix.length));
    },
  },
  'keys are percent-encoded on request': {
    s3: '/a%0Ab%2Bc',
    async observe(probe) {
      await probe.put(probe.key('a\nb+c'), 'x');
      const { Contents = [] } = await probe.s3.send(
        new ListObjectsV2Command({ Bucket: probe.bucket, Prefix: probe.prefix, EncodingType: 'url' }),
      );
      return Contents[0]?.Key?.slice(probe.prefix.length - 1);
    },
  },
  'an entry tells size and ETag': {
    s3: { Size: 5, ETag: '"5d41402abc4b2a76b9719d911017c592"', StorageClass: 'STANDARD' },
    async observe(probe) {
      await probe.put(probe.key('a'), 'hello');
      const { Contents = [] } = await probe.s3.send(
        new ListObjectsV2Command({ Bucket: probe.bucket, Prefix: probe.prefix }),
      );
      const [{ Size, ETag, StorageClass } = {}] = Contents;
      return { Size, ETag, StorageClass };
    },
  },
  'nothing is listed of a prefix that nothing has': {
    s3: { KeyCount: 0, IsTruncated: false },
    async observe(probe) {
      const { KeyCount, IsTruncated } = await probe.s3.send(
        new ListObjectsV2Command({ Bucket: probe.bucket, Prefix: probe.prefix }),
      );
      return { KeyCount, IsTruncated };
    },
  },
};
