import type { RelativePath } from '../../src/model.ts';
import { pathFromText } from '../../src/service/path-bytes.ts';
import type { Row } from '../support/daemon-workplace.ts';
import { bytesOfContent, sha256OfBytes } from './content.ts';
import type { KnownFile, KnownFiles } from './known-files.ts';
import {
  conflictsIn,
  describe,
  type Find,
  filesByOccurrence,
  keyOf,
  keyOfOccurrence,
  keyTaken,
  pathText,
  withoutId,
} from './occurrences.ts';
import type { Settings } from './plan.ts';

/** Each row is of bytes that were under its path, as often as they were there; and each file has its row. */
export function judgeRows(
  rows: readonly Row[],
  { known, onConflict }: { readonly known: KnownFiles; readonly onConflict: Settings['onConflict'] },
  find: Find,
): void {
  const accepted = rows.filter(({ status }) => status !== 'failed');
  const byContent = Map.groupBy(accepted, ({ path, sha256 }) => keyOf(withoutId(path), sha256));
  judgeOrigin(byContent, known, find);
  for (const same of byContent.values()) judgeDuplicates(same, onConflict, find);
  const conflicts = conflictsIn(rows);
  judgeCompleteness(byContent, conflicts, known, find);
  judgeConflicts(conflicts, onConflict, known, find);
  judgeRejected(rows, known, find);
}

type RowsByContent = ReadonlyMap<string, readonly Row[]>;
type RowsByPath = ReadonlyMap<string, readonly Row[]>;

function judgeOrigin(byContent: RowsByContent, known: KnownFiles, find: Find): void {
  const files = filesByOccurrence(known);
  for (const [key, same] of byContent) {
    const [row] = same as [Row];
    const most = files.get(key)?.length ?? (isBeginningOfACopy(row, known) ? 1 : 0);
    const what = `${row.size_bytes} bytes, ${row.sha256}: ${ids(same)}`;
    if (most === 0) find(`${row.path}: a row of bytes that were never there (${what})`);
    else if (same.length > most) find(`${row.path}: ${same.length} rows of what was there ${most} times (${what})`);
  }
}

/** `cp` writes in place: where it paused for longer than `settleMs`, what was there counts as a file. */
function isBeginningOfACopy({ path, size_bytes, sha256 }: Row, known: KnownFiles): boolean {
  const copies = known.all.filter(({ copied, last }) => copied !== undefined && pathText(last) === path);
  return copies.some(
    ({ copied }) => copied && sha256OfBytes(bytesOfContent(copied).subarray(0, size_bytes)) === sha256,
  );
}

/** Under `overwrite` the same content is uploaded again once another one lay there in between. */
function judgeDuplicates(same: readonly Row[], onConflict: Settings['onConflict'], find: Find): void {
  for (const [path, rows] of Map.groupBy(same, (row) => row.path)) {
    const uploaded = rows.filter(({ status }) => status === 'uploaded');
    const isRight = onConflict === 'overwrite' ? uploaded.length > 0 : uploaded.length === 1;
    if (!isRight) find(`${path}: uploaded ${uploaded.length} times: ${ids(rows)}`);
    const originals = new Set(uploaded.map(({ id }) => id));
    const strange = rows.filter((row) => row.status === 'duplicate' && !originals.has(String(row.duplicate_of)));
    if (strange.length > 0) find(`${path}: a duplicate of something else: ${ids(strange)}`);
  }
}

/** A file whose key was taken has a failed row in the place of its own, and that does not tell its content. */
function judgeCompleteness(byContent: RowsByContent, conflicts: RowsByPath, known: KnownFiles, find: Find): void {
  const failed = new Map([...conflicts].map(([path, rows]) => [path, rows.length]));
  const isConflict = ({ occurrences }: KnownFile) => occurrences.some((state) => failed.has(pathText(state)));
  const wanted = new Map<string, KnownFile[]>();
  for (const file of known.all) {
    if (file.fate !== 'whole' || file.rejected !== undefined) continue;
    const isCertain = !file.isLate && file.occurrences.every(({ path }) => path === file.last.path);
    const key = keyOfOccurrence(file.last);
    if (isCertain) wanted.set(key, [...(wanted.get(key) ?? []), file]);
    else if (!isSomehowRecorded(file, byContent) && !isConflict(file))
      find(`${pathText(file.last)}: no row (${describe(file)})`);
  }
  for (const [key, files] of wanted) {
    const found = byContent.get(key)?.length ?? 0;
    const [file] = files as [KnownFile];
    const path = pathText(file.last);
    const missing = files.length - found;
    const spare = failed.get(path) ?? 0;
    if (missing > 0) failed.set(path, spare - missing);
    if (missing > spare)
      find(`${path}: ${found} rows for ${files.length} files of the same content (${describe(file)})`);
  }
}

/** A file that was moved is recorded under one of its paths; one that was written on too late, in one of its states. */
function isSomehowRecorded({ last, occurrences, isLate, copied }: KnownFile, byContent: RowsByContent): boolean {
  const states = occurrences.filter(({ sha256 }) => isLate || sha256 === last.sha256);
  if (states.some((state) => byContent.has(keyOfOccurrence(state)))) return true;
  const path = pathText(last);
  return copied !== undefined && [...byContent.values()].some((rows) => rows.some((row) => row.path === path));
}

/** Only where conflicts are to fail, and not more often than something lay under the path. */
function judgeConflicts(
  conflicts: RowsByPath,
  onConflict: Settings['onConflict'],
  known: KnownFiles,
  find: Find,
): void {
  if (onConflict !== 'fail' && conflicts.size > 0) find(`${[...conflicts.keys()]}: failed, the key being taken`);
  const states = Map.groupBy(
    known.all.flatMap(({ occurrences }) => occurrences),
    pathText,
  );
  for (const [path, rows] of conflicts) {
    const most = states.get(path)?.length ?? 0;
    if (rows.length > most) find(`${path}: ${rows.length} rows failed of what was there ${most} times`);
  }
}

function judgeRejected(rows: readonly Row[], known: KnownFiles, find: Find): void {
  const failed = Map.groupBy(
    rows.filter(({ status, error }) => status === 'failed' && !keyTaken.test(String(error))),
    ({ path }) => withoutId(path),
  );
  const rejected = Map.groupBy(
    known.all.filter((file) => file.rejected !== undefined),
    ({ last }) => pathText(last),
  );
  for (const [path, found] of failed) {
    const files = rejected.get(path) ?? [];
    const errors = found.map(({ error }) => String(error));
    if (found.length > files.length)
      find(`${path}: ${found.length} failed rows for ${files.length} files: ${errors[0]}`);
    else if (!errors.every((error) => files[0]?.rejected?.test(error)))
      find(`${path}: failed for another reason: ${errors}`);
  }
  for (const [path, files] of rejected) {
    const least = files.filter(({ fate }) => fate === 'whole').length;
    const found = failed.get(path)?.length ?? 0;
    if (found < least) find(`${path}: ${found} failed rows for ${least} files`);
  }
}

const ids = (rows: readonly Row[]): string => rows.map(({ id, status }) => `${status} ${id}`).join(', ');

/** What the ledger writes, as a path again; for paths that are UTF-8. */
export const pathOfRow = ({ path }: Row): RelativePath => pathFromText(path.replaceAll('\\\\', '\\'));
