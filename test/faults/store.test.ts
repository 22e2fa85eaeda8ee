import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { Fault } from '../../src/demo/s3-endpoint/index.ts';
import type { Daemon } from '../support/daemon.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace, type Workplace } from '../support/daemon-workplace.ts';
import { type NetworkLink, startNetworkLink } from '../support/network-link.ts';
import { usePostgres } from '../support/postgres.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { createTestCa } from '../support/tls.ts';

/**
 * Whatever ails S3 or the way to it: files wait, uploads go on by themselves, none is stored twice, and the journal says
 * once that they are paused and once that they are not.
 */
const postgres = usePostgres();
const mebibyte = 2 ** 20;
const threeParts = 12 * mebibyte;

/** Twenty small files and one that goes in parts of 5 MiB. */
async function dropAll(place: Workplace, name: string): Promise<void> {
  await place.drop(`${name}/large.bin`, Buffer.alloc(threeParts, name));
  for (let file = 0; file < 20; file += 1) await place.drop(`${name}/${file}.txt`, `${name} ${file}`);
}

const inParts = { s3: { partSizeMiB: 5 } } as const;

function expectOnePause(daemon: Daemon): void {
  expect([daemon.named('paused').length, daemon.named('resumed').length]).toEqual([1, 1]);
}

describe('a store that fails everything for a while', () => {
  const faults: readonly (readonly [what: string, fault: Fault])[] = [
    ['answers 503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
    ['answers 500 InternalError', { kind: 'status', status: 500, code: 'InternalError' }],
    ['breaks connections before it did anything', { kind: 'reset-before' }],
    ['does all that is asked and loses each answer', { kind: 'reset-after' }],
  ];

  test.concurrent.each(faults)('it %s', async (_what, fault) => {
    await using place = await makeWorkplace({ postgres, config: inParts });
    const daemon = await place.start();
    await place.drop('before.txt', 'before');
    await daemon.waitFor('uploaded');
    place.store.faults = () => fault;
    await dropAll(place, 'during');
    await daemon.waitFor('paused', { level: 'warning' });
    place.store.faults = undefined;
    await daemon.waitFor('resumed');
    const rows = await expectInvariants(place);
    expect(rows.every(({ status }) => status === 'uploaded')).toBe(true);
    expectOnePause(daemon);
    expect(daemon.named('retrying').length).toBeLessThanOrEqual(21);
  });
});

describe('a store that fails some requests', () => {
  test.concurrent('connections break in the middle of a body: what has arrived is not sent again', async () => {
    await using place = await makeWorkplace({ postgres, config: inParts });
    place.store.faults = ({ operation, attempt }) => {
      if (operation === 'UploadPart' && attempt <= 2) return { kind: 'reset-before', afterBytes: mebibyte };
      if (operation === 'PutObject' && attempt === 1) return { kind: 'reset-before', afterBytes: mebibyte / 2 };
      return undefined;
    };
    const daemon = await place.start();
    await place.drop('one.bin', Buffer.alloc(threeParts, 'one'));
    await place.drop('two.bin', Buffer.alloc(threeParts, 'two'));
    await place.drop('put.bin', Buffer.alloc(mebibyte, 'put'));
    await expectInvariants(place);
    expect(place.store.count('UploadPart')).toBe(6);
    expect(daemon.named('paused')).toEqual([]);
  });

  test.concurrent('the first answer to everything is lost, the work done: nothing is stored twice', async () => {
    await using place = await makeWorkplace({ postgres, config: inParts });
    place.store.faults = ({ attempt }) => (attempt === 1 ? { kind: 'reset-after' } : undefined);
    const daemon = await place.start();
    await dropAll(place, 'lost');
    const rows = await expectInvariants(place);
    expect(rows.map(({ object_key }) => object_key).filter((key) => key?.includes('~'))).toEqual([]);
    expect(daemon.named('paused')).toEqual([]);
  });

  test.concurrent('a put, and a part, that are never answered, the socket left open: given up after a minute', async () => {
    await using place = await makeWorkplace({ postgres, config: inParts });
    place.store.faults = ({ operation, key, attempt }) => {
      if (attempt > 1 || !['PutObject', 'UploadPart'].includes(operation)) return undefined;
      return key.includes('dropledger-check') ? undefined : { kind: 'hang', work: key.includes('done') };
    };
    const daemon = await place.start();
    for (const name of ['undone', 'done']) await place.drop(`${name}.txt`, name);
    await place.drop('done.bin', Buffer.alloc(6 * mebibyte, 'done'));
    await expectInvariants(place, { patienceMs: 150_000 });
    expect([...daemon.named('paused'), ...daemon.named('retrying')]).toEqual([]);
  }, 180_000);

  test.concurrent('Complete answers 200 with an error inside', async () => {
    await using place = await makeWorkplace({ postgres, config: inParts });
    place.store.faults = ({ operation, attempt }) =>
      operation === 'CompleteMultipartUpload' && attempt === 1
        ? { kind: 'error-in-200', code: 'InternalError' }
        : undefined;
    await place.start();
    await place.drop('large.bin', Buffer.alloc(threeParts, 'large'));
    const [row] = await expectInvariants(place);
    expect(row).toMatchObject({ status: 'uploaded', part_count: 3 });
  });

  test.concurrent('one file is answered 500 again and again: said once, and the others go on', async () => {
    await using place = await makeWorkplace({ postgres });
    place.store.faults = ({ key }) =>
      key.endsWith('unlucky.txt') ? { kind: 'status', status: 500, code: 'InternalError' } : undefined;
    const daemon = await place.start();
    await place.drop('unlucky.txt', 'unlucky');
    for (let file = 0; file < 20; file += 1) await place.drop(`${file}.txt`, `lucky ${file}`);
    await daemon.waitFor('uploaded', {}, 20);
    const failures = () => place.store.answered.filter(({ status }) => status === 500).length;
    const fivePasses = 25;
    await vi.waitFor(() => expect(failures()).toBeGreaterThanOrEqual(fivePasses), { timeout: 120_000 });
    expect(daemon.named('retrying')).toMatchObject([{ path: 'unlucky.txt', level: 'warning' }]);
    expect(daemon.named('paused')).toEqual([]);
    place.store.faults = undefined;
    await expectInvariants(place, { patienceMs: 90_000 });
  });
});

/** A workplace whose daemon goes to the store by a link. */
async function makeLinked(scheme: 'http' | 'https', options: Partial<Parameters<typeof makeWorkplace>[0]> = {}) {
  const stack = new AsyncDisposableStack();
  const place = stack.use(await makeWorkplace({ postgres, ...options }));
  const to = Number(new URL(place.store.url).port);
  const authority = await createTestCa(join(place.folder, 'ca'));
  const certificate = await authority.issue('127.0.0.1');
  const link = stack.use(await startNetworkLink({ to, ...(scheme === 'https' && { certificate }) }));
  await place.configure({ s3: { endpoint: `${scheme}://127.0.0.1:${link.port}` } });
  return { place, link, authority, certificate, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe('the way to the store', () => {
  test.concurrent('takes 1 KB a second: small files arrive, and a large one once it is quicker', async () => {
    await using linked = await makeLinked('http', { config: inParts });
    const { place, link } = linked;
    link.bytesPerSecond = 1024;
    const daemon = await place.start();
    await place.drop('large.bin', Buffer.alloc(threeParts, 'large'));
    for (let file = 1; file <= 8; file += 1) await place.drop(`${file}.txt`, Buffer.alloc(file * 2000, `slow ${file}`));
    await daemon.waitFor('uploaded', {}, 8);
    link.bytesPerSecond = undefined;
    await expectInvariants(place);
    expect(place.store.count('UploadPart', 'all')).toBe(3);
    expect([...daemon.named('paused'), ...daemon.named('retrying')]).toEqual([]);
  });

  test.concurrent('goes silent in the middle of a body, every socket left open: given up after a minute, then sent again', async () => {
    await using linked = await makeLinked('http', { config: { s3: { partSizeMiB: 5, concurrency: 1 } } });
    const { place, link } = linked;
    link.bytesPerSecond = 2 * mebibyte;
    const daemon = await place.start();
    await place.drop('large.bin', Buffer.alloc(threeParts, 'large'));
    await vi.waitFor(() => expect(place.store.count('UploadPart')).toBe(1), { timeout: 30_000 });
    link.mode = 'silent';
    const connections = link.connections;
    // a minute for the one in use, and one for another that is kept for the next request
    await vi.waitFor(() => expect(link.connections).toBeGreaterThan(connections), { timeout: 150_000, interval: 200 });
    link.mode = 'pass';
    link.bytesPerSecond = undefined;
    const [row] = await expectInvariants(place, { patienceMs: 100_000 });
    expect(row).toMatchObject({ status: 'uploaded', part_count: 3 });
    expect([...daemon.named('paused'), ...daemon.named('retrying')]).toEqual([]);
  }, 300_000);

  const cutAndMended = async (
    { place, link }: { place: Workplace; link: NetworkLink },
    daemon: Daemon,
    breakIt: () => Promise<void>,
    mendIt: () => Promise<void>,
    says: Readonly<Record<string, RegExp>>,
  ): Promise<void> => {
    await dropAll(place, 'before');
    await daemon.waitFor('uploaded', {}, 21);
    await breakIt();
    link.cut();
    await dropAll(place, 'during');
    await daemon.waitFor('paused', { level: 'warning', ...says });
    await mendIt();
    await daemon.waitFor('resumed');
    await expectInvariants(place);
    expectOnePause(daemon);
  };

  const certificates = [
    ['has expired', /expired/, /Renew.*clock/],
    ['is made out for another name', /altname|does not match/i, /s3\.endpoint/],
    ['is signed by an authority that nobody knows', /verify|signature|certificate/i, /AWS_CA_BUNDLE/],
  ] as const;
  test.concurrent.each(certificates)('shows a certificate that %s', async (what, error, hint) => {
    await using linked = await makeLinked('https', { config: inParts });
    const { place, link, authority, certificate } = linked;
    const stranger = await createTestCa(join(place.folder, 'stranger'));
    const wrong = what.includes('expired')
      ? await authority.issueExpired('127.0.0.1')
      : await (what.includes('name') ? authority.issue('elsewhere.example') : stranger.issue('127.0.0.1'));
    const daemon = await place.start({ AWS_CA_BUNDLE: authority.certFile });
    const show = async (shown: typeof wrong) => link.showCertificate(shown);
    await cutAndMended(
      linked,
      daemon,
      () => show(wrong),
      () => show(certificate),
      { error, hint },
    );
  });

  // A mount of its own hides the machine's hosts file from the daemon: nobody but root may.
  test.skipIf(process.getuid?.() !== 0)('has a name that no server knows any more', async () => {
    const script =
      'mount --bind "$1/hosts" /etc/hosts; mount --bind "$1/resolv.conf" /etc/resolv.conf; shift; exec "$@"';
    await using names = await tempFolder();
    const know = async (line: string) => writeFile(names.at('hosts'), `127.0.0.1 localhost\n${line}\n`);
    await know('127.0.0.1 store.example');
    await writeFile(names.at('resolv.conf'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
    await using linked = await makeLinked('http', {
      config: inParts,
      through: ['unshare', '--mount', 'sh', '-ec', script, 'sh', names.at('.')],
    });
    const { place, link } = linked;
    await place.configure({ s3: { endpoint: `http://store.example:${link.port}` } });
    const daemon = await place.start();
    await cutAndMended(
      linked,
      daemon,
      () => know('127.0.0.1 other.example'),
      () => know('127.0.0.1 store.example'),
      { error: /ENOTFOUND|EAI_AGAIN/, hint: /DNS|network/ },
    );
  });
});
