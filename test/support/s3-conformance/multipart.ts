import {
  AbortMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { type Behaviours, outcome, outcomes, rawOutcome } from './behaviour.ts';
import { md5Hex, mebibyte, type Probe } from './probe.ts';

const large = Buffer.alloc(5 * mebibyte, 'x');
const noSuchUpload = { status: 404, code: 'NoSuchUpload' };
const madeUpId = '2~AbCdEfGhIjKlMnOpQrStUvWxYz012345';

/** Objects that come in parts. */
export const multipartBehaviours: Behaviours = {
  'parts become one object, with the type and metadata of the start': {
    s3: {
      etag: `"${md5Hex(Buffer.concat([Buffer.from(md5Hex(large), 'hex'), Buffer.from(md5Hex('end'), 'hex')]))}-2"`,
      head: { ContentLength: large.length + 3, ContentType: 'image/png', Metadata: { origin: 'camera' } },
      end: 'xend',
    },
    async observe(probe) {
      const Key = probe.key('a');
      const upload = await probe.startUpload(Key, { ContentType: 'image/png', Metadata: { origin: 'camera' } });
      // The order of arrival doesn't matter.
      const second = await upload.part(2, 'end');
      const first = await upload.part(1, large);
      const { ETag } = await upload.complete([first, second]);
      const { ContentLength, ContentType, Metadata } = await probe.s3.send(
        new HeadObjectCommand({ Bucket: probe.bucket, Key }),
      );
      const { text } = await probe.rawObject('GET', Key, { headers: { range: 'bytes=-4' } });
      return { etag: ETag, head: { ContentLength, ContentType, Metadata }, end: text };
    },
  },
  'the ETag of an object in parts is told by HEAD as well': {
    s3: `"${md5Hex(Buffer.from(md5Hex('x'), 'hex'))}-1"`,
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.complete([await upload.part(1, 'x')]);
      const head = await probe.s3.send(new HeadObjectCommand({ Bucket: probe.bucket, Key: probe.key('a') }));
      return head.ETag;
    },
  },
  'nothing is visible before Complete': {
    s3: [],
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.part(1, 'x');
      return probe.keys();
    },
  },
  'uploads and their parts are listed': {
    s3: {
      uploads: ['a', 'b'],
      parts: [
        [1, 5],
        [3, 3],
      ],
    },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.part(3, 'xyz');
      await upload.part(1, 'hello');
      await probe.startUpload(probe.key('b'));
      const { Parts = [] } = await probe.s3.send(new ListPartsCommand(upload.address));
      return { uploads: await openUploads(probe), parts: Parts.map(({ PartNumber, Size }) => [PartNumber, Size]) };
    },
  },
  'parts are listed page by page': {
    s3: [[1, 2], [3]],
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      for (const number of [1, 2, 3]) await upload.part(number, 'x');
      const list = async (PartNumberMarker?: string) => {
        const page = await probe.s3.send(new ListPartsCommand({ ...upload.address, MaxParts: 2, PartNumberMarker }));
        return { numbers: (page.Parts ?? []).map(({ PartNumber }) => PartNumber), next: page.NextPartNumberMarker };
      };
      const first = await list();
      return [first.numbers, (await list(first.next)).numbers];
    },
  },
  'an aborted upload is gone': {
    s3: { abort: { status: 204 }, uploads: [], part: noSuchUpload },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.part(1, 'x');
      const abort = await outcome(probe.s3.send(new AbortMultipartUploadCommand(upload.address)));
      const part = await outcome(probe.s3.send(new UploadPartCommand({ ...upload.address, PartNumber: 2, Body: 'x' })));
      return { abort, uploads: await openUploads(probe), part };
    },
  },
  'an upload that was never started is unknown to part, Complete and abort': {
    s3: { part: noSuchUpload, complete: noSuchUpload, abort: noSuchUpload, list: noSuchUpload },
    observe(probe) {
      const address = { Bucket: probe.bucket, Key: probe.key('a'), UploadId: madeUpId };
      return outcomes({
        part: () => outcome(probe.s3.send(new UploadPartCommand({ ...address, PartNumber: 1, Body: 'x' }))),
        complete: () => complete(probe, madeUpId, partXml(1, md5Hex('x'))),
        abort: () => outcome(probe.s3.send(new AbortMultipartUploadCommand(address))),
        list: () => outcome(probe.s3.send(new ListPartsCommand(address))),
      });
    },
  },
  'an upload belongs to its key': {
    s3: noSuchUpload,
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const address = { ...upload.address, Key: probe.key('b') };
      return outcome(probe.s3.send(new UploadPartCommand({ ...address, PartNumber: 1, Body: 'x' })));
    },
  },
  'a part below 5 MiB that is not the last is refused': {
    s3: { status: 400, code: 'EntityTooSmall' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const parts = [await upload.part(1, 'small'), await upload.part(2, 'end')];
      return outcome(upload.complete(parts));
    },
  },
  'a part of another ETag, or that is missing, is refused': {
    s3: { other: { status: 400, code: 'InvalidPart' }, missing: { status: 400, code: 'InvalidPart' } },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const { ETag = '' } = await upload.part(1, 'x');
      return outcomes({
        other: () => complete(probe, upload.id, partXml(1, md5Hex('other'))),
        missing: () => complete(probe, upload.id, partXml(2, ETag)),
      });
    },
  },
  'parts out of order are refused': {
    s3: { status: 400, code: 'InvalidPartOrder' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const first = await upload.part(1, large);
      const second = await upload.part(2, large);
      return complete(probe, upload.id, partXml(2, second.ETag ?? '') + partXml(1, first.ETag ?? ''));
    },
  },
  'a list without parts is refused': {
    s3: { status: 400, code: 'MalformedXML' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      return complete(probe, upload.id, '');
    },
  },
  'a document that is no list is refused': {
    s3: { status: 400, code: 'MalformedXML' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      return rawOutcome(
        probe.rawObject('POST', probe.key('a'), { query: { uploadId: upload.id }, body: '<CompleteMultipart' }),
      );
    },
  },
  'a part number is between 1 and 10,000': {
    s3: { least: { status: 200 }, most: { status: 200 }, less: invalid(), more: invalid() },
    async observe(probe) {
      const { address } = await probe.startUpload(probe.key('a'));
      const put = (PartNumber: number) => () =>
        outcome(probe.s3.send(new UploadPartCommand({ ...address, PartNumber, Body: 'x' })));
      return outcomes({ least: put(1), most: put(10_000), less: put(0), more: put(10_001) });
    },
  },
  'a part that is sent again replaces the first': {
    s3: 'second',
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.part(1, 'first');
      await upload.complete([await upload.part(1, 'second')]);
      return probe.text(probe.key('a'));
    },
  },
  'parts that Complete does not list are left out': {
    s3: { complete: { status: 200 }, keys: ['a'], text: 'last' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.part(1, 'first');
      const complete = await outcome(upload.complete([await upload.part(2, 'last')]));
      const keys = await probe.keys();
      return { complete, keys, text: keys.includes('a') ? await probe.text(probe.key('a')) : undefined };
    },
  },
  'a refused Complete can be mended': {
    s3: { refused: { status: 400, code: 'InvalidPart' }, mended: { status: 200 } },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const part = await upload.part(1, 'x');
      return outcomes({
        refused: () => complete(probe, upload.id, partXml(1, md5Hex('other'))),
        mended: () => outcome(upload.complete([part])),
      });
    },
  },
};

function invalid() {
  return { status: 400, code: 'InvalidArgument' };
}

const partXml = (number: number, etag: string): string =>
  `<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag></Part>`;

function complete(probe: Probe, uploadId: string, parts: string) {
  return rawOutcome(
    probe.rawObject('POST', probe.key('a'), {
      query: { uploadId },
      body: `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`,
    }),
  );
}

async function openUploads(probe: Probe): Promise<string[]> {
  const { Uploads = [] } = await probe.s3.send(
    new ListMultipartUploadsCommand({ Bucket: probe.bucket, Prefix: probe.prefix }),
  );
  return Uploads.map(({ Key = '' }) => Key.slice(probe.prefix.length));
}
