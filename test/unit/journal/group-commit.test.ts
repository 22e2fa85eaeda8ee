import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { commitInPieces, createGroupCommit } from '../../../src/journal/group-commit.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** A database with one table of numbers, and its commits. */
function numbers(path = ':memory:') {
  const database = new DatabaseSync(path, { timeout: 0 });
  database.exec('CREATE TABLE IF NOT EXISTS numbers (number INTEGER UNIQUE) STRICT');
  const insert = database.prepare('INSERT INTO numbers VALUES (?)');
  const { commit } = createGroupCommit(database, async () => undefined);
  return {
    database,
    add: (number: number) => commit(() => Number(insert.run(number).lastInsertRowid)),
    all: () =>
      database
        .prepare('SELECT number FROM numbers ORDER BY number')
        .all()
        .map((row) => row['number']),
    [Symbol.dispose]: () => database.close(),
  };
}

test('each caller gets the result of its own work', async () => {
  using table = numbers();
  expect(await Promise.all([table.add(10), table.add(20), table.add(30)])).toEqual([1, 2, 3]);
});

test('one that fails undoes none of the others', async () => {
  using table = numbers();
  await table.add(2);
  const results = await Promise.allSettled([table.add(1), table.add(2), table.add(3)]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(table.all()).toEqual([1, 2, 3]);
});

test('one that fails half-way leaves nothing of itself', async () => {
  using table = numbers();
  const { commit } = createGroupCommit(table.database, async () => undefined);
  const half = commit(() => {
    table.database.exec('INSERT INTO numbers VALUES (1)');
    throw new Error('half-way');
  });
  await expect(half).rejects.toThrow('half-way');
  expect(table.all()).toEqual([]);
});

test('a full disk refuses all of a group, and the next group goes on when there is room', async () => {
  await using folder = await tempFolder();
  using table = numbers(folder.at('numbers.db'));
  const pages = Number(table.database.prepare('PRAGMA page_count').get()?.['page_count']);
  table.database.exec(`CREATE TABLE blobs (bytes BLOB) STRICT; PRAGMA max_page_count = ${pages + 1}`);
  const { commit } = createGroupCommit(table.database, async () => undefined);
  const fill = () => commit(() => table.database.exec('INSERT INTO blobs VALUES (zeroblob(100000))'));
  const results = await Promise.allSettled([fill(), fill()]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await table.add(1);
  table.database.exec('PRAGMA max_page_count = 1000');
  await fill();
  expect(table.all()).toEqual([1]);
});

test('a database that is locked refuses a group once, not once a caller', async () => {
  await using folder = await tempFolder();
  using table = numbers(folder.at('numbers.db'));
  using other = new DatabaseSync(folder.at('numbers.db'));
  other.exec('BEGIN IMMEDIATE');
  const results = await Promise.allSettled([table.add(1), table.add(2)]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const reasons = results.map((result) => (result as PromiseRejectedResult).reason);
  expect(reasons[0]).toBe(reasons[1]);
  other.exec('ROLLBACK');
  await table.add(1);
});

test('what takes long is done in slices: the first is on disk before the last begins', async () => {
  using table = numbers();
  const { commit } = createGroupCommit(table.database, async () => undefined);
  const told: string[] = [];
  const slow = (name: string) => async () => {
    await commit(() => {
      told.push(`${name} begins`);
      for (const until = performance.now() + 20; performance.now() < until; ); // longer than a slice
    });
    told.push(`${name} is done`);
  };
  await Promise.all([slow('one')(), slow('two')(), slow('three')()]);
  expect(told).toEqual(['one begins', 'one is done', 'two begins', 'two is done', 'three begins', 'three is done']);
});

test('many items are done in pieces, and their sum is told', async () => {
  using table = numbers();
  const { commit } = createGroupCommit(table.database, async () => undefined);
  const insert = table.database.prepare('INSERT INTO numbers VALUES (?)');
  const items = Array.from({ length: 1000 }, (_, number) => number);
  expect(await commitInPieces(commit, items, (number) => Number(insert.run(number).changes))).toBe(1000);
  await expect(commitInPieces(commit, [2000, 0], (number) => Number(insert.run(number).changes))).rejects.toThrow();
  expect(table.all()).toEqual(items);
});

test('a caller is told once its work is on disk, and what comes meanwhile waits for the next sync', async () => {
  using table = numbers();
  const told: string[] = [];
  const syncs: PromiseWithResolvers<void>[] = [];
  const { commit, onDisk } = createGroupCommit(table.database, () => {
    syncs.push(Promise.withResolvers());
    return syncs.at(-1)?.promise ?? Promise.resolve();
  });
  const first = commit(() => 1).then(() => told.push('first'));
  await expect.poll(() => syncs.length).toBe(1);
  const second = commit(() => 2).then(() => told.push('second'));
  const readNow = onDisk().then(() => told.push('what was read'));
  expect(told).toEqual([]);
  syncs[0]?.resolve();
  await Promise.all([first, readNow]);
  await expect.poll(() => syncs.length).toBe(2);
  expect(told).not.toContain('second');
  syncs[1]?.resolve();
  await second;
});

test('after a sync that failed every commit is refused, and it is told', async () => {
  using table = numbers();
  let syncs = 0;
  const { commit, failed, onDisk } = createGroupCommit(table.database, async () => {
    syncs += 1;
    throw new Error('EIO');
  });
  await expect(commit(() => 1)).rejects.toThrow('EIO');
  await expect(onDisk()).rejects.toThrow('EIO');
  await expect(failed).rejects.toThrow('EIO');
  await expect(commit(() => 2)).rejects.toThrow('EIO');
  expect(syncs).toBe(1);
});
