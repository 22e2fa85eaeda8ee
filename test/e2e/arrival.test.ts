import { execFile } from 'node:child_process';
import { appendFile, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { pathFromText, textOf } from '../../src/service/path-bytes.ts';
import { sha256Of } from '../support/daemon-files.ts';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';
import { hostileNames } from '../support/sample-tree.ts';

/** What is dropped into the folder, in whatever way, is in the bucket and in the ledger. */
const postgres = usePostgres();
const mebibyte = 2 ** 20;

test.concurrent('files of any size arrive byte for byte, and the journal names each once', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  const sizes = [0, 1, 4095, 65_537, 8 * mebibyte, 8 * mebibyte + 1, 20 * mebibyte];
  for (const size of sizes) await place.drop(`sizes/${size}.bin`, Buffer.alloc(size, `${size},`));
  const rows = await expectInvariants(place);
  expect(rows.find(({ size_bytes }) => size_bytes === 20 * mebibyte)).toMatchObject({
    status: 'uploaded',
    object_key: `in/sizes/${20 * mebibyte}.bin`,
    content_type: 'application/octet-stream',
    part_count: 3,
    checksum_type: expect.stringContaining('CRC32'),
    principal: 'arn:aws:iam::123456789012:user/write-only',
    attempts: 1,
  });
  const uploaded = daemon
    .named('uploaded')
    .map(({ path, bytes, key, sha256, id }) => ({ path, bytes, key, sha256, id }));
  const recorded = rows.map(({ path, size_bytes, object_key, sha256, id }) => ({
    ...{ path, bytes: size_bytes, key: object_key, sha256, id },
  }));
  expect(uploaded.sort(byId)).toEqual(recorded.sort(byId));
  expect(daemon.lines.filter(({ level }) => level !== 'info')).toEqual([]);
});

const byId = (one: { id: unknown }, other: { id: unknown }) => (String(one.id) < String(other.id) ? -1 : 1);

test.concurrent('any name arrives under its own bytes, or is quarantined with the reason; none forges a line of the journal', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  for (const { name, rejected } of hostileNames)
    await place.drop(Buffer.concat([Buffer.from('names/'), name]), name, rejected);
  const rows = await expectInvariants(place);
  for (const { status, path, object_key } of rows) {
    if (status === 'uploaded') expect(object_key).toBe(`in/${path.replaceAll('\\\\', '\\')}`);
  }
  expect(
    daemon
      .named('uploaded')
      .map(({ path }) => path)
      .sort(),
  ).toEqual(place.drops.flatMap(({ path, rejected }) => (rejected === undefined ? [textOf(path)] : [])).sort());
});

test.concurrent('files that lie there at the start, and a folder that is moved in with all that is in it', async () => {
  await using place = await makeWorkplace({ postgres });
  await place.drop('before/one.txt', 'one');
  await place.drop('two.txt', 'two');
  const daemon = await place.start();
  await expectInvariants(place);

  const outside = join(place.folder, 'outside');
  await mkdir(join(outside, 'deep/er'), { recursive: true });
  for (const name of ['a.txt', 'deep/b.txt', 'deep/er/c.txt']) {
    await writeFile(join(outside, name), name);
    const path = pathFromText(`moved/${name}`);
    place.note({ path, size: name.length, sha256: sha256Of(name), rejected: undefined });
  }
  await rename(outside, join(place.inbox, 'moved'));
  await expectInvariants(place);
  expect(daemon.named('uploaded')).toHaveLength(5);
});

test.concurrent('a file that is appended to is uploaded once, whole', async () => {
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { settleMs: 800 } } });
  const daemon = await place.start();
  const file = join(place.inbox, 'growing.log');
  let content = '';
  for (let line = 1; line <= 12; line += 1) {
    content += `line ${line}\n`;
    await appendFile(file, `line ${line}\n`);
    await new Promise((resolve) => setTimeout(resolve, 100)); // a producer that takes its time
  }
  place.note({
    path: pathFromText('growing.log'),
    size: content.length,
    sha256: sha256Of(content),
    rejected: undefined,
  });
  await expectInvariants(place);
  expect(daemon.named('uploaded')).toHaveLength(1);
});

test.concurrent('symlinks, FIFOs, temporary files and hidden folders are left alone', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  const secret = join(place.folder, 'secret.txt');
  await writeFile(secret, 'not for the bucket');
  await symlink(secret, join(place.inbox, 'link.txt'));
  await symlink(place.home, join(place.inbox, 'linked-folder'));
  await promisify(execFile)('mkfifo', [join(place.inbox, 'fifo')]);
  const ignored = ['.hidden', 'half.part', 'editor.txt~', '.cache/inside.txt', 'web.crdownload'];
  await mkdir(join(place.inbox, '.cache'));
  for (const name of ignored) await writeFile(join(place.inbox, name), 'not yet');
  await place.drop('real.txt', 'the one that counts');
  const left = ignored.map(pathFromText);
  await expectInvariants(place, { left });
  // the next one comes after at least one more scan of all that
  await place.drop('after.txt', 'and another');
  await expectInvariants(place, { left });
  expect(daemon.named('uploaded').map(({ path }) => path)).toEqual(['real.txt', 'after.txt']);
});
