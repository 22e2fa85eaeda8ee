/** Which known file a row, an object or a file in the archive can be of. */
import { textOf } from '../../src/service/path-bytes.ts';
import type { Row } from '../support/daemon-workplace.ts';
import type { KnownFile, KnownFiles, Occurrence } from './known-files.ts';

/** Takes what is wrong, as a sentence. */
export type Find = (finding: string) => void;

/** A file whose own name was taken has another: `<stem>~<uuid><ext>`. */
export const idMark = /~[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
export const withoutId = (text: string): string => text.replace(idMark, '');

/** As the ledger writes it. */
export const pathText = ({ path }: Occurrence): string => textOf(path);

/** Content at a path, as a Map key. */
export const keyOf = (path: string, sha256: string | null): string => `${sha256} ${path}`;
export const keyOfOccurrence = (occurrence: Occurrence): string => keyOf(pathText(occurrence), occurrence.sha256);

/** Every state that a file was in, with the files that were in it: one of them for each time. */
export function filesByOccurrence(known: KnownFiles): Map<string, KnownFile[]> {
  const found = new Map<string, KnownFile[]>();
  for (const file of known.all) {
    for (const occurrence of file.occurrences) {
      const key = keyOfOccurrence(occurrence);
      const files = found.get(key);
      if (files === undefined) found.set(key, [file]);
      else files.push(file);
    }
  }
  return found;
}

/** Under `onConflict: fail`: why a file is in quarantine that nothing is wrong with. */
export const keyTaken = /exists in the bucket with other content/;

/** Rows of files that were put into quarantine because their key was taken, by path. */
export const conflictsIn = (rows: readonly Row[]): Map<string, Row[]> =>
  Map.groupBy(
    rows.filter(({ status, error }) => status === 'failed' && keyTaken.test(String(error))),
    ({ path }) => withoutId(path),
  );

export const describe = ({ id, last, occurrences, fate, isLate }: KnownFile): string =>
  `file ${id}, ${last.size} bytes, ${last.sha256.slice(0, 8)}, ${occurrences.length} states, ${fate}${isLate ? ', late' : ''}`;

export async function eachOf<T>(list: readonly T[], parallel: number, act: (item: T) => Promise<void>): Promise<void> {
  const rest = list.values();
  const worker = async () => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}
