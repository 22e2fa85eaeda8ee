import { AbortMultipartUploadCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { type Behaviours, outcome, outcomes, rawOutcome } from './behaviour.ts';

const taken = { status: 412, code: 'PreconditionFailed' };

/** `If-None-Match`, and what is left when it says no. */
export const conditionBehaviours: Behaviours = {
  'If-None-Match stores what is new and refuses what exists': {
    s3: { first: { status: 200 }, second: taken, text: 'first' },
    async observe(probe) {
      const put = (text: string) => outcome(probe.put(probe.key('a'), text, { IfNoneMatch: '*' }));
      const first = await put('first');
      const second = await put('second');
      return { first, second, text: await probe.text(probe.key('a')) };
    },
  },
  'of two puts that race for a key one wins': {
    s3: { won: 1, lost: 7 },
    async observe(probe) {
      const put = (text: string) => outcome(probe.put(probe.key('a'), text, { IfNoneMatch: '*' }));
      const all = await Promise.all(Array.from({ length: 8 }, (_, number) => put(`number ${number}`)));
      const lost = all.filter(({ code }) => code === 'PreconditionFailed' || code === 'ConditionalRequestConflict');
      return { won: all.filter(({ status }) => status === 200).length, lost: lost.length };
    },
  },
  'If-None-Match at Complete refuses what exists, and leaves the upload open': {
    s3: { complete: taken, text: 'first', partsLeft: 1, abort: { status: 204 } },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const part = await upload.part(1, 'second');
      await probe.put(probe.key('a'), 'first');
      const complete = await outcome(upload.complete([part], { IfNoneMatch: '*' }));
      const parts = await probe.s3.send(new ListPartsCommand(upload.address)).catch(() => undefined);
      const abort = await outcome(probe.s3.send(new AbortMultipartUploadCommand(upload.address)));
      return { complete, text: await probe.text(probe.key('a')), partsLeft: parts?.Parts?.length, abort };
    },
  },
  'If-None-Match at Complete stores what is new': {
    s3: { complete: { status: 200 }, text: 'new' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const part = await upload.part(1, 'new');
      const complete = await outcome(upload.complete([part], { IfNoneMatch: '*' }));
      return { complete, text: await probe.text(probe.key('a')) };
    },
  },
  'a Complete that is sent again is answered as the first, conditions or not': {
    s3: { again: { status: 200 }, withCondition: { status: 200 }, sameEtag: true },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      const part = await upload.part(1, 'new');
      const first = await upload.complete([part]);
      const etags: (string | undefined)[] = [];
      const complete = (more: object) => async () => {
        const call = upload.complete([part], more);
        call.then(
          ({ ETag }) => etags.push(ETag),
          () => {},
        );
        return outcome(call);
      };
      const all = await outcomes({ again: complete({}), withCondition: complete({ IfNoneMatch: '*' }) });
      return { ...all, sameEtag: etags.length > 0 && etags.every((etag) => etag === first.ETag) };
    },
  },
  'an upload that was completed can no longer be aborted': {
    s3: { status: 404, code: 'NoSuchUpload' },
    async observe(probe) {
      const upload = await probe.startUpload(probe.key('a'));
      await upload.complete([await upload.part(1, 'x')]);
      return outcome(probe.s3.send(new AbortMultipartUploadCommand(upload.address)));
    },
  },
  'an ETag given with If-None-Match at a put is not implemented': {
    s3: { status: 501, code: 'NotImplemented' },
    observe: (probe) =>
      rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', headers: { 'if-none-match': '"abc"' } })),
  },
  'a read can depend on the ETag': {
    s3: { unchanged: { status: 304 }, changed: { status: 412, code: 'PreconditionFailed' } },
    async observe(probe) {
      const { ETag = '' } = await probe.put(probe.key('a'), 'x');
      const get = (headers: Record<string, string>) => () =>
        rawOutcome(probe.rawObject('GET', probe.key('a'), { headers }));
      return outcomes({ unchanged: get({ 'if-none-match': ETag }), changed: get({ 'if-match': '"other"' }) });
    },
  },
};
