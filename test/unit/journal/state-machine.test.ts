import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Journal } from '../../../src/journal/journal.ts';
import { rowHash } from '../../../src/ledger/row-hash.ts';
import type { FileIdentity, LedgerRow, RelativePath } from '../../../src/model.ts';
import {
  identityOf,
  openTestJournal,
  quarantineOutcome,
  queueOf,
  settledFile,
  storedOutcome,
  type TestJournal,
} from '../../support/test-journal.ts';

/**
 * Any order of what can happen to files, with a restart at any point. The model knows three things of each path: the
 * bytes that lie there, those that were stored for it, and whether they were moved away. Whatever happens, a file that
 * lies in the folder and is not stored is in the queue (or comes to rest), and one whose bytes are not stored is never
 * disposed of.
 */
interface Model {
  /** What lies in the folder: the identity that settled last. */
  readonly folder: Map<RelativePath, { identity: FileIdentity; content: number }>;
  readonly storedContents: Set<string>;
  readonly uploadedFileIds: string[];
  rows: number;
  recorded: number;
  highestPosition: number;
}

interface Real {
  readonly parts: TestJournal;
}

type Act = fc.AsyncCommand<Model, Real>;

const paths = ['a', 'b', 'c/d'];
const contentKey = (path: string, content: number) => `${path} ${content}`;

/** The identities of these tests say which bytes they stand for. */
const contentOf = ({ mtimeNs }: FileIdentity): number => Number(mtimeNs - 1_700_000_000_000_000_000n);

const act = (name: string, run: (model: Model, journal: Journal, real: Real) => Promise<void>): Act => ({
  check: () => true,
  async run(model, real) {
    await run(model, real.parts.journal(), real);
    checkInvariants(model, real.parts.journal());
  },
  toString: () => name,
});

const settle = (path: string, content: number, touched: number): Act =>
  act(`settle ${path} ${content} ${touched}`, async (model, journal) => {
    const file = settledFile(path, identityOf({ content, touched, size: content % 2 === 0 ? 10 : 100 }));
    model.folder.set(file.path, { identity: file.identity, content });
    await journal.files.settled([file]);
  });

/** A pass that reads the file; something may settle anew under its path before it ends. */
const pass = (pick: number, outcome: 'store' | 'reject' | 'changed' | 'fail', meanwhile: Act | undefined): Act =>
  act(`pass ${pick} ${outcome}${meanwhile ? ` while ${meanwhile}` : ''}`, async (model, journal, real) => {
    const waiting = queueOf(journal);
    const file = waiting[pick % Math.max(waiting.length, 1)];
    if (file === undefined) return;
    const { fileId, identity, path } = file;
    await journal.files.attempt(fileId, `key of ${path}`, 'row-1');
    await meanwhile?.run(model, real);
    const content = contentOf(identity);
    if (file.restedAs !== undefined) {
      await (model.storedContents.has(contentKey(path, content))
        ? journal.files.untouched(file)
        : journal.files.renew(file));
    } else if (outcome === 'store') {
      await journal.outbox.enqueue(storedOutcome(file, { content: String(content) }), new Date());
      model.storedContents.add(contentKey(path, content));
      model.uploadedFileIds.push(fileId);
      model.rows += 1;
    } else if (outcome === 'reject') {
      await journal.outbox.enqueue(quarantineOutcome(file), new Date());
      model.storedContents.add(contentKey(path, content)); // dealt with: it may leave the folder
      model.rows += 1;
    } else if (outcome === 'changed') {
      await journal.files.unsettle(fileId);
      const there = model.folder.get(path);
      if (there !== undefined) await journal.files.settled([{ ...settledFile('x', there.identity), path }]);
    } else {
      await journal.files.failed(fileId, file.attempts + 1, 0, 'no answer');
    }
  });

const record = (limit: number): Act =>
  act(`record ${limit}`, async (model, { outbox }) => {
    const rows = outbox.store.next(limit);
    await outbox.store.recorded(rows);
    model.recorded += rows.length;
  });

const dispose = (rests: 'kept' | 'not-movable' | undefined): Act =>
  act(`dispose ${rests ?? 'moved'}`, async (model, { files }) => {
    for (const { file } of files.recordedAfter(0, 2)) {
      const there = model.folder.get(file.path);
      const isIt = there !== undefined && contentOf(there.identity) === contentOf(file.identity);
      // what lies there is what is moved, and its bytes are safe
      if (isIt) expect(model.storedContents).toContain(contentKey(file.path, there.content));
      if (isIt && rests === undefined) model.folder.delete(file.path);
      await files.disposed([{ fileId: file.fileId, rests: isIt ? rests : undefined }]);
      if (!isIt && there !== undefined) await files.settled([{ ...settledFile('x', there.identity), path: file.path }]);
    }
  });

const restart = (): Act => act('restart', async (_model, _journal, { parts }) => void (await parts.reopen()));

function checkInvariants(model: Model, { files, outbox }: Journal): void {
  const states = new Map([...model.folder].map(([path]) => [path, files.known(path)]));
  for (const [path, { content }] of model.folder) {
    const known = states.get(path);
    expect(known, `${path} is known`).toBeDefined();
    const isSafe = known !== undefined && known.state !== 'queued' && known.state !== 'settling';
    if (isSafe && contentOf(known.identity) === content) {
      expect(model.storedContents, `${path} is ${known.state}`).toContain(contentKey(path, content));
    }
  }
  const waiting = queueOf({ files } as Journal);
  expect(new Set(waiting.map(({ path }) => path)).size).toBe(waiting.length);
  for (const { position } of waiting) model.highestPosition = Math.max(model.highestPosition, position);
  expect(files.counts().queued ?? 0).toBe(waiting.length);
  expect(outbox.counts().waiting).toBe(model.rows - model.recorded);
  expect(new Set(model.uploadedFileIds).size, 'no file is uploaded twice').toBe(model.uploadedFileIds.length);
  const rows = outbox.store.next(1000).map(({ json }) => JSON.parse(json) as LedgerRow);
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => model.recorded + index + 1));
  for (const [index, { row_hash, ...row }] of rows.entries()) {
    expect(rowHash(row)).toBe(row_hash);
    if (index > 0) expect(row.previous_hash).toBe(rows[index - 1]?.row_hash);
  }
}

const settles = fc
  .tuple(fc.constantFrom(...paths), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 2 }))
  .map((settled) => settle(...settled));

const anything = fc.oneof(
  { weight: 4, arbitrary: settles },
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        fc.nat({ max: 2 }),
        fc.constantFrom('store', 'store', 'store', 'reject', 'changed', 'fail'),
        fc.option(settles, { nil: undefined }),
      )
      .map((passed) => pass(...passed)),
  },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 3 }).map(record) },
  { weight: 3, arbitrary: fc.constantFrom(undefined, 'kept', 'not-movable').map(dispose) },
  { weight: 1, arbitrary: fc.constant(null).map(restart) },
);

test('whatever happens in whatever order, no file is lost, none uploaded twice, and the chain has no gap', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands([anything], { maxCommands: 25 }), async (commands) => {
      await using parts = await openTestJournal();
      const model: Model = {
        folder: new Map(),
        storedContents: new Set(),
        uploadedFileIds: [],
        rows: 0,
        recorded: 0,
        highestPosition: 0,
      };
      await fc.asyncModelRun(() => ({ model, real: { parts } }), commands);
    }),
    { numRuns: 100, interruptAfterTimeLimit: 4000 }, // each run waits for the disk a hundred times
  );
}, 60_000);
