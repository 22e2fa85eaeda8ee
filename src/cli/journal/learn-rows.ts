import type { Journal } from '../../journal/journal.ts';
import type { StoredContent } from '../../journal/stored-objects.ts';
import type { LedgerReader, RecordedRow } from '../../ledger/reader.ts';
import { pathFromWritten } from '../../service/path-bytes.ts';

export interface LearnRowsOptions {
  readonly reader: Pick<LedgerReader, 'each'>;
  readonly journal: Pick<Journal, 'relearn'>;
  readonly place: { readonly host: string; readonly instance: string; readonly bucket: string };
  onRows(count: number): void;
}

/** Tells the journal of every object that its rows in the ledger name. */
export async function learnRows({ reader, journal, place, onRows }: LearnRowsOptions) {
  let rows = 0;
  let objects = 0;
  await reader.each({ host: place.host, status: 'uploaded' }, async (page) => {
    const ours = page.filter(({ instance, bucket }) => instance === place.instance && bucket === place.bucket);
    rows += ours.length;
    objects += await journal.relearn.stored(ours.flatMap(storedBy));
    onRows(page.length);
  });
  return { rows, objects };
}

function storedBy(row: RecordedRow): (StoredContent & { readonly storedAt: Date })[] {
  const { id, path, size_bytes: size, sha256, bucket, object_key: key, uploaded_at, recorded_at } = row;
  if (sha256 === null || key === null) return [];
  const storedAt = new Date(uploaded_at ?? recorded_at);
  return [{ path: pathFromWritten(path), size, sha256, bucket, key, ledgerId: id, storedAt }];
}
