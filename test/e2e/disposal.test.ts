import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pathFromText } from '../../src/service/path-bytes.ts';
import { filesIn, sha256Of } from '../support/daemon-files.ts';
import { allDone, expectInvariants } from '../support/daemon-invariants.ts';
import { ownerOf } from '../support/daemon-store.ts';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';

/** What becomes of a file once it is stored and recorded; and of one whose name or content was there before. */
const postgres = usePostgres();

test.concurrent('archive: the same content again is a duplicate, other content is kept beside it, and no archived file is replaced', async () => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await place.drop('reports/march.csv', 'first');
  const [first] = await expectInvariants(place);
  await place.drop('reports/march.csv', 'first');
  await expectInvariants(place);
  await place.drop('reports/march.csv', 'second');
  const rows = await expectInvariants(place);

  const mark = sha256Of('second').slice(0, 8);
  expect(rows.map(({ status, object_key, duplicate_of }) => ({ status, object_key, duplicate_of }))).toEqual([
    { status: 'uploaded', object_key: 'in/reports/march.csv', duplicate_of: null },
    { status: 'duplicate', object_key: 'in/reports/march.csv', duplicate_of: first?.id },
    { status: 'uploaded', object_key: `in/reports/march~${mark}.csv`, duplicate_of: null },
  ]);
  expect((await filesIn(place.archive)).sort()).toEqual(
    ['reports/march.csv', ...rows.slice(1).map(({ id }) => `reports/march~${id}.csv`)].sort(),
  );
  expect(daemon.named('duplicate')).toMatchObject([{ path: 'reports/march.csv', of: first?.id }]);
});

test.concurrent('keep: a file stays, is never sent again, and is when its content changes', async () => {
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { afterUpload: 'keep' } } });
  const daemon = await place.start();
  await place.drop('ledger.csv', 'version 1');
  await place.drop('deep/other.csv', 'other');
  await expectInvariants(place);

  await chmod(join(place.inbox, 'ledger.csv'), 0o600);
  await place.drop('marker.csv', 'comes to rest after that');
  await expectInvariants(place);

  await daemon.kill();
  await place.start();
  await writeFile(join(place.inbox, 'ledger.csv'), 'version 2');
  place.note({ path: pathFromText('ledger.csv'), size: 9, sha256: sha256Of('version 2'), rejected: undefined });
  const rows = await expectInvariants(place);
  expect(rows.filter(({ path }) => path === 'ledger.csv').map(({ object_key }) => object_key)).toEqual([
    'in/ledger.csv',
    `in/ledger~${sha256Of('version 2').slice(0, 8)}.csv`,
  ]);
  expect(await readFile(join(place.inbox, 'ledger.csv'), 'utf8')).toBe('version 2');
});

test.concurrent('delete: what is stored and recorded is gone, from everywhere', async () => {
  await using place = await makeWorkplace({ postgres, config: { dropFolder: { afterUpload: 'delete' } } });
  await place.start();
  for (let file = 0; file < 20; file += 1) await place.drop(`day-${file % 4}/${file}.txt`, `content ${file}`);
  await expectInvariants(place);
  expect(await filesIn(place.quarantine)).toEqual([]);
});

test.concurrent('keep-both: a key that somebody else took is left as it is, and the file is stored beside it', async () => {
  await using place = await makeWorkplace({ postgres });
  using owner = ownerOf(place.store);
  await owner.put('in/taken.tar.gz', 'of somebody else');
  await place.start();
  await place.drop('taken.tar.gz', 'ours');
  const rows = await expectInvariants(place, { foreignKeys: ['in/taken.tar.gz'] });
  expect(rows).toMatchObject([{ object_key: `in/taken~${sha256Of('ours').slice(0, 8)}.tar.gz`, status: 'uploaded' }]);
  expect(await owner.sha256('in/taken.tar.gz')).toBe(sha256Of('of somebody else'));
});

test.concurrent('fail: a key that is taken puts the file into quarantine with the reason, and the object stays as it is', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { onConflict: 'fail' } } });
  using owner = ownerOf(place.store);
  await owner.put('in/taken.txt', 'of somebody else');
  const daemon = await place.start();
  await place.drop('taken.txt', 'ours', /"in\/taken\.txt" exists in the bucket with other content/);
  await place.drop('mine.txt', 'first');
  await expectInvariants(place, { foreignKeys: ['in/taken.txt'] });
  await place.drop('mine.txt', 'second', /"in\/mine\.txt" exists in the bucket/);
  await expectInvariants(place, { foreignKeys: ['in/taken.txt'] });
  expect(await owner.sha256('in/taken.txt')).toBe(sha256Of('of somebody else'));
  expect(daemon.named('quarantined')).toMatchObject([
    { level: 'error', path: 'taken.txt', hint: expect.stringContaining('s3.onConflict') },
    { level: 'error', path: 'mine.txt', hint: expect.stringContaining('s3.onConflict') },
  ]);
});

test.concurrent('overwrite: the newest content has the key, and each has its row', async () => {
  await using place = await makeWorkplace({ postgres, config: { s3: { onConflict: 'overwrite' } } });
  using owner = ownerOf(place.store);
  await place.start();
  for (const content of ['one', 'two', 'one']) {
    await place.drop('latest.txt', content);
    await allDone(place);
    expect(await owner.sha256('in/latest.txt')).toBe(sha256Of(content));
  }
  expect([...(await owner.sizes()).keys()]).toEqual(['in/latest.txt']);
  expect((await place.rows()).map(({ status, sha256 }) => [status, sha256])).toEqual(
    ['one', 'two', 'one'].map((content) => ['uploaded', sha256Of(content)]),
  );
});
