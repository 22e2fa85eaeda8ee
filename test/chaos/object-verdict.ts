import { conflictKey, conflictKeyById, objectKey } from '../../src/s3/object-key.ts';
import { pathFromText, textOf } from '../../src/service/path-bytes.ts';
import { type ObjectOwner, ownerOf, type Store } from '../support/daemon-store.ts';
import type { Row } from '../support/daemon-workplace.ts';
import type { KnownFiles } from './known-files.ts';
import { conflictsIn, eachOf, type Find, filesByOccurrence, idMark, keyOf, keyOfOccurrence } from './occurrences.ts';
import type { Settings } from './plan.ts';
import { pathOfRow } from './row-verdict.ts';

/**
 * Each uploaded row has its object, byte for byte, under a key that could be predicted. Objects without a row must be
 * of files that were replaced or taken away while nobody knew whether their put had arrived: those keys are given back.
 */
export async function judgeObjects(
  store: Store,
  rows: readonly Row[],
  { known, onConflict }: { readonly known: KnownFiles; readonly onConflict: Settings['onConflict'] },
  find: Find,
): Promise<string[]> {
  using owner = ownerOf(store);
  const sizes = await owner.sizes();
  const recorded = recordedKeys(rows, { prefix: store.prefix, onConflict, sizes }, find);
  for (const [row] of conflictsIn(rows).values()) {
    if (row !== undefined && !keysOf(row, store.prefix, onConflict).some((key) => sizes.has(key)))
      find(`${row.path}: failed, the key being taken, and nothing is there`);
  }
  const unrecorded: string[] = [];
  const isExcused = excuses(known, store.prefix);
  await eachOf([...sizes.keys()], 4, async (key) => {
    const sha256 = await owner.sha256(key);
    const row = recorded.get(key);
    if (row === undefined) {
      const problem = isExcused(key, sha256);
      if (problem === undefined) unrecorded.push(key);
      else find(`${key}: an object without a row, of ${problem} (${sizes.get(key)} bytes, ${sha256})`);
    } else if (row.sha256 !== sha256) find(`${key}: its bytes are not those of its row ${row.id}`);
  });
  await judgeUnfinished(owner, find);
  return unrecorded;
}

interface Bucket {
  readonly prefix: string;
  readonly onConflict: Settings['onConflict'];
  readonly sizes: ReadonlyMap<string, number>;
}

/** The row of each key; where objects are overwritten, the last one. */
function recordedKeys(rows: readonly Row[], { prefix, onConflict, sizes }: Bucket, find: Find) {
  const recorded = new Map<string, Row>();
  for (const row of rows) {
    if (row.status !== 'uploaded') continue;
    const key = String(row.object_key);
    const other = recorded.get(key);
    if (other !== undefined && onConflict !== 'overwrite')
      find(`${key}: two rows are uploaded under this key: ${row.id} and ${other.id}`);
    recorded.set(key, row);
    if (!keysOf(row, prefix, onConflict).includes(key)) find(`${key}: nobody could predict this key of ${row.path}`);
  }
  for (const [key, row] of recorded) {
    if (sizes.get(key) !== row.size_bytes)
      find(`${key}: ${sizes.get(key)} bytes in the bucket, ${row.size_bytes} in the ledger`);
  }
  return recorded;
}

function keysOf(row: Row, prefix: string, onConflict: Settings['onConflict']): string[] {
  const named = objectKey({ prefix, path: pathOfRow(row) });
  if (!('key' in named)) return [];
  const { key } = named;
  return onConflict === 'keep-both' ? [key, conflictKey(key, String(row.sha256)), conflictKeyById(key, row.id)] : [key];
}

/** What is wrong with an object that has no row; undefined where nothing can be promised about it. */
function excuses(known: KnownFiles, prefix: string) {
  const files = filesByOccurrence(known);
  const whole = known.all.filter(({ fate, isLate, rejected }) => fate === 'whole' && !isLate && rejected === undefined);
  const last = new Set(whole.map((file) => keyOfOccurrence(file.last)));
  return (key: string, sha256: string): string | undefined => {
    const path = key.slice(prefix.length);
    const names = [path, path.replace(`~${sha256.slice(0, 8)}`, ''), path.replace(idMark, '')];
    const states = names.map((name) => keyOf(textOf(pathFromText(name)), sha256)).filter((state) => files.has(state));
    if (states.length === 0) return 'bytes that were never there';
    return states.some((state) => last.has(state)) ? 'a file that nobody changed' : undefined;
  };
}

async function judgeUnfinished(owner: ObjectOwner, find: Find): Promise<void> {
  const unfinished = await owner.unfinished();
  if (unfinished.length > 0) find(`multipart uploads with parts are left: ${unfinished.join(', ')}`);
}
