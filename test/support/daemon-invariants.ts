/** What must be true in the end, whatever happened on the way. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect, vi } from 'vitest';
import type { RelativePath } from '../../src/model.ts';
import { textOf } from '../../src/service/path-bytes.ts';
import { filesIn, placeOf, sha256OfFile } from './daemon-files.ts';
import { type ObjectOwner, ownerOf } from './daemon-store.ts';
import type { Drop, Row, Workplace } from './daemon-workplace.ts';

export interface InvariantOptions {
  /** Read every object and every archived file, instead of looking at their sizes. */
  readonly byteForByte?: boolean;
  /** Files that are to stay in the inbox, besides those that `keep` keeps. */
  readonly left?: readonly RelativePath[];
  /** Objects that were in the bucket before. */
  readonly foreignKeys?: readonly string[];
  readonly patienceMs?: number;
}

/**
 * Waits until everything that was dropped has its row and has left the inbox, and then looks: exactly one correct
 * object and one row for each accepted file; each rejected one in quarantine, with its reason; nothing anywhere else; no
 * multipart upload that holds parts; the rows one unbroken chain; nothing said twice, and no secret, in the journal.
 */
export async function expectInvariants(place: Workplace, options: InvariantOptions = {}): Promise<Row[]> {
  await allDone(place, options);
  const rows = await place.rows();
  expectOneRowEach(place.drops, rows);
  expectOneChain(rows);
  using owner = ownerOf(place.store);
  await expectObjects(owner, rows, options);
  expect(await owner.unfinished()).toEqual([]);
  await expectArchive(place, options);
  await expectQuarantine(place, rows);
  expectSaidOnce(place);
  expectNoSecrets(place);
  return rows;
}

/** Resolves when there are as many rows as drops, and nothing that should go is left in the inbox. */
export async function allDone(place: Workplace, { left = [], patienceMs = 45_000 }: InvariantOptions = {}) {
  try {
    await vi.waitFor(() => expectAllDone(place, left), { timeout: patienceMs, interval: 50 });
  } catch (error) {
    throw new Error(`not all came through: ${await whatIsMissing(place)}`, { cause: error });
  }
}

/** Throws where there are fewer rows than drops, or something that should go is left in the inbox. */
export async function expectAllDone({ drops, inbox, database, config }: Workplace, left: readonly RelativePath[] = []) {
  const keeps = config.dropFolder?.afterUpload === 'keep';
  const kept = drops.filter(({ rejected }) => keeps && rejected === undefined).map(({ path }) => path);
  const staying = [...new Set([...left, ...kept])].sort();
  const { rows } = await database.query('SELECT count(*)::int AS count FROM dropledger.uploads');
  expect(rows[0].count).toBeGreaterThanOrEqual(drops.length);
  expect((await filesIn(inbox)).sort()).toEqual(staying);
}

async function whatIsMissing({ drops, inbox, daemons, rows }: Workplace): Promise<string> {
  const recorded = new Set((await rows()).map(({ path }) => path));
  const missing = drops.map(({ path }) => textOf(path)).filter((path) => !recorded.has(path));
  const inInbox = (await filesIn(inbox)).map(textOf);
  const troubles = daemons.flatMap(({ lines }) => lines.filter(({ level }) => level !== 'info')).slice(-10);
  return JSON.stringify({ missing: missing.slice(0, 10), inInbox: inInbox.slice(0, 10), troubles }, undefined, 1);
}

function expectOneRowEach(drops: readonly Drop[], rows: readonly Row[]): void {
  const wanted = drops.map(({ path, size, sha256, rejected }) =>
    line(rejected === undefined ? 'accepted' : 'failed', textOf(path), size, rejected === undefined ? sha256 : null),
  );
  const found = rows.map(({ status, path, size_bytes, sha256 }) =>
    line(status === 'failed' ? 'failed' : 'accepted', path, size_bytes, sha256),
  );
  expect(found.sort()).toEqual(wanted.sort());
}

const line = (...values: readonly unknown[]): string => JSON.stringify(values);

/** Each journal's rows: numbered from 1 without a gap, each with the hash of the one before it. */
function expectOneChain(rows: readonly Row[]): void {
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1];
    const expected = before?.chain === row.chain ? [before.seq + 1, before.row_hash] : [1, null];
    expect([row.seq, row.previous_hash], row.path).toEqual(expected);
  }
}

async function expectObjects(owner: ObjectOwner, rows: readonly Row[], options: InvariantOptions): Promise<void> {
  const { byteForByte = true, foreignKeys = [] } = options;
  const sizes = await owner.sizes();
  const stored = rows.filter(({ status }) => status === 'uploaded');
  const keys = [...stored.map(({ object_key }) => object_key), ...foreignKeys];
  expect([...sizes.keys()].sort(), 'the keys in the bucket, and those in the ledger').toEqual(keys.sort());
  for (const { object_key, sha256, size_bytes, status } of rows) {
    if (status === 'failed') continue;
    const key = String(object_key);
    expect(sizes.get(key), key).toBe(size_bytes);
    if (byteForByte) expect(await owner.sha256(key), key).toBe(sha256);
  }
}

/** Under `archive`: all that was accepted, byte for byte, under its own path (or, where that was taken, beside it). */
async function expectArchive({ config, drops, archive, quarantine }: Workplace, options: InvariantOptions) {
  const afterUpload = config.dropFolder?.afterUpload ?? 'archive';
  const accepted = drops.filter(({ rejected }) => rejected === undefined);
  const archived = await filesIn(archive);
  if (afterUpload !== 'archive') {
    expect(archived).toEqual([]);
    expect((await filesIn(quarantine)).filter((path) => path.startsWith('.deleting/'))).toEqual([]);
    return;
  }
  expect(archived).toHaveLength(accepted.length);
  expect([...new Set(accepted.map(({ path }) => path))].filter((path) => !archived.includes(path))).toEqual([]);
  if (options.byteForByte === false) return;
  const hashes = await Promise.all(archived.map((path) => sha256OfFile(placeOf(archive, path))));
  expect(hashes.sort()).toEqual(accepted.map(({ sha256 }) => sha256).sort());
}

async function expectQuarantine({ drops, quarantine }: Workplace, rows: readonly Row[]): Promise<void> {
  const rejected = drops.filter((drop) => drop.rejected !== undefined);
  const found = await filesIn(quarantine);
  expect(found).toHaveLength(rejected.length * 2);
  const reasons = found.filter((path) => path.endsWith('.reason.json'));
  const told = new Map<string, { sha256: string; reason: string; hint: string; row: Row | undefined }>();
  for (const file of reasons) {
    const { path, reason, hint, ledgerId } = JSON.parse(await readFile(placeOf(quarantine, file), 'utf8'));
    const content = placeOf(quarantine, file.slice(0, -'.reason.json'.length) as RelativePath);
    const row = rows.find(({ id }) => id === ledgerId);
    told.set(path, { sha256: await sha256OfFile(content), reason, hint, row });
  }
  for (const { path, sha256, rejected: reason } of rejected) {
    const text = textOf(path);
    expect(told.get(text), text).toMatchObject({ sha256, reason: expect.stringMatching(reason ?? /./) });
    expect(told.get(text)?.hint, text).not.toBe('');
    expect(told.get(text)?.row, text).toMatchObject({ path: text, status: 'failed', error: told.get(text)?.reason });
  }
}

/** Whatever became of a file, the journal says it of each row at most once (a kill may come before the line). */
function expectSaidOnce({ daemons }: Workplace): void {
  for (const event of ['uploaded', 'duplicate', 'quarantined'] as const) {
    const ids = daemons.flatMap((daemon) => daemon.named(event).map(({ id }) => id));
    expect(ids.length, `${event} was said twice of a row`).toBe(new Set(ids).size);
  }
}

function expectNoSecrets({ daemons, store, database }: Workplace): void {
  const password = readFileSync(database.writer.passwordFile ?? '', 'utf8').trim();
  for (const daemon of daemons) {
    for (const secret of [store.writer.secretAccessKey, store.owner.secretAccessKey, password, 'X-Amz-Signature']) {
      expect(daemon.output().includes(secret), 'a secret in the journal').toBe(false);
    }
  }
}
