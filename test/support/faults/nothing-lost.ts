import { expect, vi } from 'vitest';
import { textOf } from '../../../src/service/path-bytes.ts';
import { filesIn, placeOf, sha256OfFile } from '../daemon-files.ts';
import { allDone, type InvariantOptions } from '../daemon-invariants.ts';
import { ownerOf } from '../daemon-store.ts';
import type { Row, Workplace } from '../daemon-workplace.ts';

/**
 * What a lost journal may cost: of each file one more object and one more row. Nothing is lost, no row tells of an object
 * that is not as it says, no place in a chain is given twice.
 */
export async function expectNothingLost(place: Workplace, options: InvariantOptions = {}): Promise<Row[]> {
  await allDone(place, options);
  // under `keep`, what is sent once more cannot be told from what is still to come
  return await vi.waitFor(() => lookForLosses(place), { timeout: 30_000, interval: 500 });
}

async function lookForLosses(place: Workplace): Promise<Row[]> {
  const { drops, store, archive, config } = place;
  const rows = await place.rows();
  using owner = ownerOf(store);
  const contents = new Map<string, string>();
  for (const key of (await owner.sizes()).keys()) contents.set(key, await owner.sha256(key));

  const accepted = drops.filter(({ rejected }) => rejected === undefined);
  for (const { path, sha256 } of accepted) {
    const text = textOf(path);
    const recorded = rows.filter((row) => row.path === text && row.sha256 === sha256);
    expect([1, 2], `rows of ${text}`).toContain(recorded.length);
    for (const { object_key } of recorded) expect(contents.get(String(object_key)), text).toBe(sha256);
    const copies = [...contents.values()].filter((content) => content === sha256);
    expect([1, 2], `objects of ${text}`).toContain(copies.length);
  }
  const known = new Set(accepted.map(({ sha256 }) => sha256));
  expect([...contents.values()].filter((content) => !known.has(content))).toEqual([]);
  expect(await owner.unfinished()).toEqual([]);
  const numbers = rows.map(({ chain, seq }) => `${chain} ${seq}`);
  expect(new Set(numbers).size, 'numbers given twice').toBe(numbers.length);
  if ((config.dropFolder?.afterUpload ?? 'archive') === 'archive') {
    const archived = await Promise.all((await filesIn(archive)).map((path) => sha256OfFile(placeOf(archive, path))));
    expect(archived.sort()).toEqual(accepted.map(({ sha256 }) => sha256).sort());
  }
  return rows;
}
