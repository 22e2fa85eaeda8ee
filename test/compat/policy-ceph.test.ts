import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPolicies } from '../../src/aws/policy.ts';
import { type Ceph, cephMissing, startCeph } from '../support/ceph.ts';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplaceAt } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';
import { type Credentials, type RawRequest, sendSigned } from '../support/signed-request.ts';

/** What `dropledger policy` prints, on a role of a server that nobody here wrote, by AssumeRole. */

const bucket = 'policy';
const prefix = 'in/';
const missing = cephMissing();

describe.skipIf(missing !== undefined)("the IAM policy, on a role of Ceph's", () => {
  const postgres = usePostgres();
  let ceph: Ceph;
  let session: Required<Credentials>;

  beforeAll(async () => {
    ceph = await startCeph();
    for (const name of [bucket, 'other']) await ceph.createBucket(name);
    const { iamPolicy } = createPolicies({ bucket, prefix, region: ceph.region, conditionalWrites: true });
    const role = ['--role-name=uploader', '--policy-name=uploads'];
    await ceph.adminCommand('role-policy', 'put', ...role, `--policy-doc=${JSON.stringify(iamPolicy)}`);
    session = await ceph.assumeWriteOnlyRole(900);
    await ask('owner', { method: 'PUT', path: `/${bucket}/in/of-others`, body: 'not yours to read' });
  });
  afterAll(() => ceph?.[Symbol.asyncDispose]());

  const ask = (who: 'owner' | 'session', request: RawRequest) =>
    sendSigned(
      { url: ceph.url, region: ceph.region, credentials: who === 'owner' ? ceph.owner : session, ca: undefined },
      request,
    );

  test('the daemon works with it: small files, and multipart uploads', async () => {
    const { url, region, owner, writeOnly } = ceph;
    const store = { url, region, bucket, prefix, owner, writer: writeOnly };
    await using place = await makeWorkplaceAt(store, { postgres });
    for (let number = 0; number < 20; number += 1) await place.drop(`folder ${number}/note.txt`, `note ${number}`);
    await place.drop('empty', '');
    await place.drop('large.bin', randomBytes(20 * 2 ** 20));
    await place.start({
      AWS_ACCESS_KEY_ID: session.accessKeyId,
      AWS_SECRET_ACCESS_KEY: session.secretAccessKey,
      AWS_SESSION_TOKEN: session.sessionToken,
    });
    await allDone(place);
    await expectInvariants(place, { foreignKeys: ['in/of-others'] });
  });

  const object = `/${bucket}/in/of-others`;
  const refused: readonly (readonly [what: string, request: RawRequest])[] = [
    ['read an object', { method: 'GET', path: object }],
    ['look at its head', { method: 'HEAD', path: object }],
    ['read its rights', { method: 'GET', path: object, query: { acl: '' } }],
    ['make it public', { method: 'PUT', path: object, query: { acl: '' }, headers: { 'x-amz-acl': 'public-read' } }],
    ['delete it', { method: 'DELETE', path: object }],
    ['list the bucket', { method: 'GET', path: `/${bucket}` }],
    ['list versions', { method: 'GET', path: `/${bucket}`, query: { versions: '' } }],
    ['list unfinished uploads', { method: 'GET', path: `/${bucket}`, query: { uploads: '' } }],
    ["read the bucket's policy", { method: 'GET', path: `/${bucket}`, query: { policy: '' } }],
    ["remove the bucket's policy", { method: 'DELETE', path: `/${bucket}`, query: { policy: '' } }],
    ['put outside the prefix', { method: 'PUT', path: `/${bucket}/elsewhere`, body: 'x' }],
    ['put where the prefix only looks alike', { method: 'PUT', path: `/${bucket}/in-other/x`, body: 'x' }],
    [
      'start a multipart upload outside the prefix',
      { method: 'POST', path: `/${bucket}/elsewhere`, query: { uploads: '' } },
    ],
    ['put into another bucket', { method: 'PUT', path: '/other/in/x', body: 'x' }],
    [
      'copy an object it may not read',
      { method: 'PUT', path: `/${bucket}/in/copy`, headers: { 'x-amz-copy-source': object } },
    ],
  ];
  test.each(refused)('its credentials cannot %s', async (_what, request) => {
    expect((await ask('session', request)).status).toBe(403);
  });

  test('what they put themselves they cannot read back or delete', async () => {
    const path = `/${bucket}/in/own`;
    const put = await ask('session', { method: 'PUT', path, body: 'mine' });
    const read = await ask('session', { method: 'GET', path });
    const deleted = await ask('session', { method: 'DELETE', path });
    expect([put.status, read.status, deleted.status]).toEqual([200, 403, 403]);
    expect((await ask('owner', { method: 'GET', path })).text).toBe('mine');
  });
});

if (missing !== undefined) {
  test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`Ceph can't be started: ${missing}`, () => {
    expect.fail(missing);
  });
}
