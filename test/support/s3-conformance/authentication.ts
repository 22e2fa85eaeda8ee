import type { HttpRequest } from '@smithy/types';
import type { Behaviours } from './behaviour.ts';
import { rawOutcome } from './behaviour.ts';
import { framePlain, frameSigned } from './chunked-body.ts';

const minutes = (count: number): Date => new Date(Date.now() + count * 60_000);

/** Signature Version 4 and the body's own hashes: what a client gets wrong, and what must not pass unseen. */
export const authenticationBehaviours: Behaviours = {
  'an unsigned request is refused': {
    s3: { status: 403, code: 'AccessDenied' },
    observe: (probe) => rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', credentials: null })),
  },
  'an access key that nobody has is refused': {
    s3: { status: 403, code: 'InvalidAccessKeyId' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          body: 'x',
          credentials: { accessKeyId: 'NOBODY', secretAccessKey: 'x' },
        }),
      ),
  },
  'a wrong secret is refused': {
    s3: { status: 403, code: 'SignatureDoesNotMatch' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          body: 'x',
          credentials: { ...probe.server.owner, secretAccessKey: 'wrong' },
        }),
      ),
  },
  'a query that was changed after signing is refused': {
    s3: { status: 403, code: 'SignatureDoesNotMatch' },
    observe: (probe) => rawOutcome(probe.raw({ method: 'GET', path: `/${probe.bucket}`, tamper: addQuery })),
  },
  'a path that was changed after signing is refused': {
    s3: { status: 403, code: 'SignatureDoesNotMatch' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          body: 'x',
          tamper: (request) => {
            request.path += 'b';
          },
        }),
      ),
  },
  'an x-amz header that is not signed is refused': {
    s3: { status: 403, code: 'AccessDenied' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          body: 'x',
          tamper: (request) => {
            request.headers['x-amz-meta-extra'] = 'slipped in';
          },
        }),
      ),
  },
  'a clock 16 minutes slow is refused': {
    s3: { status: 403, code: 'RequestTimeTooSkewed' },
    observe: (probe) => rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', signingDate: minutes(-16) })),
  },
  'a clock 16 minutes fast is refused': {
    s3: { status: 403, code: 'RequestTimeTooSkewed' },
    observe: (probe) => rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', signingDate: minutes(16) })),
  },
  'a clock 10 minutes off is fine': {
    s3: { status: 200 },
    observe: (probe) => rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', signingDate: minutes(-10) })),
  },
  'a signature for another region is refused, and names the right one': {
    s3: { status: 400, code: 'AuthorizationHeaderMalformed', region: 'the right one' },
    async observe(probe) {
      const { status, code, text } = await probe.rawObject('PUT', probe.key('a'), {
        body: 'x',
        region: 'mars-north-1',
      });
      return { status, code, ...(text.includes(`<Region>${probe.server.region}<`) && { region: 'the right one' }) };
    },
  },
  'a session token beside a key that has none is refused': {
    s3: { status: 400, code: 'InvalidToken' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), {
          body: 'x',
          credentials: { ...probe.server.owner, sessionToken: 'made-up' },
        }),
      ),
  },
  'a body that is not what was hashed is refused': {
    s3: { status: 400, code: 'XAmzContentSHA256Mismatch' },
    observe: (probe) =>
      rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'right', frame: () => Buffer.from('wrong') })),
  },
  'a payload hash that is none is refused': {
    s3: { status: 400, code: 'InvalidArgument' },
    observe: (probe) =>
      rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', headers: { 'x-amz-content-sha256': 'soon' } })),
  },
  'a missing payload hash is refused': {
    s3: { status: 400, code: 'InvalidRequest' },
    observe: (probe) =>
      rawOutcome(probe.rawObject('PUT', probe.key('a'), { body: 'x', without: ['x-amz-content-sha256'] })),
  },
  'an unsigned payload is taken': {
    s3: 'hello',
    async observe(probe) {
      const headers = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
      await probe.rawObject('PUT', probe.key('a'), { body: 'hello', headers });
      return probe.text(probe.key('a'));
    },
  },
  'signed chunks are taken, and unframed': {
    s3: 'a'.repeat(20_000),
    async observe(probe) {
      await probe.rawObject('PUT', probe.key('a'), frameSigned('a'.repeat(20_000), probe.server));
      return probe.text(probe.key('a'));
    },
  },
  'a chunk that was changed is refused': {
    s3: { status: 403, code: 'SignatureDoesNotMatch' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), frameSigned('a'.repeat(20_000), probe.server, { tamper: true })),
      ),
  },
  'a chunk below 8 KiB before the last is refused': {
    s3: { status: 403, code: 'InvalidChunkSizeError' },
    observe: (probe) =>
      rawOutcome(
        probe.rawObject('PUT', probe.key('a'), frameSigned('a'.repeat(9000), probe.server, { chunkBytes: 4000 })),
      ),
  },
  'a chunked body that stops early is refused': {
    s3: { status: 400, code: 'IncompleteBody' },
    observe: (probe) =>
      rawOutcome(probe.rawObject('PUT', probe.key('a'), framePlain('hello', { trailer: undefined, cut: true }))),
  },
  'a refusal comes before the body where the client waits for it': {
    s3: { status: 403, continued: false },
    async observe(probe) {
      const { status, continued } = await probe.rawObject('PUT', probe.key('a'), {
        body: 'x',
        headers: { expect: '100-continue' },
        credentials: { ...probe.server.owner, secretAccessKey: 'wrong' },
      });
      return { status, continued };
    },
  },
  'the body is asked for where the client waits': {
    s3: { status: 200, continued: true },
    async observe(probe) {
      const headers = { expect: '100-continue' };
      const { status, continued } = await probe.rawObject('PUT', probe.key('a'), { body: 'x', headers });
      return { status, continued };
    },
  },
};

function addQuery(request: HttpRequest): void {
  request.query = { ...request.query, prefix: 'somewhere-else' };
}
