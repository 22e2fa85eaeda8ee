/**
 * Compares ledger and bucket.
 *
 *     all:     listing (or S3 Inventory) ─page by page─▶ their rows: unknown? as recorded?   marks the keys it saw
 *              ledger ─▶ rows whose key was not seen ─▶ head: missing?
 *     sample:  rows at random ─▶ head                    and the listing behind some of their keys ─▶ unknown?
 *
 * Where several uploads have the same key, the newest row tells what is there: with `s3.onConflict` "overwrite" the
 * objects of the others are gone as they should.
 */
import type { LedgerFilter } from '../../ledger/filter.ts';
import type { LedgerReader, ObjectPlace, RecordedRow } from '../../ledger/reader.ts';
import type { ListedObject, ObjectReader } from '../../s3/read-objects.ts';
import { inParallel } from './in-parallel.ts';
import type { KeySet } from './key-set.ts';
import { contentDifferenceOf, type Difference, differenceOf, type UploadedRow, unknownObject } from './object-check.ts';

export interface BucketCheckOptions {
  readonly reader: Pick<LedgerReader, 'uploadsOf' | 'each' | 'sample'>;
  readonly bucket: ObjectReader;
  readonly place: ObjectPlace;
  /** Read every object and hash it. */
  readonly content: boolean;
  /** Ask for the head of every object; else what a listing tells must do. */
  readonly heads: boolean;
  onDifference(difference: Difference): Promise<void>;
  onChecked(count: number): void;
}

const parallelRequests = 32;
/** An object this young may have a row that is still on its way. */
const youngMs = 3_600_000;

export type BucketCheck = ReturnType<typeof createBucketCheck>;

export function createBucketCheck(options: BucketCheckOptions) {
  const { reader, bucket, place, content, heads, onChecked } = options;
  const startedAt = Date.now();
  const young: ListedObject[] = [];
  const told = new Set<string>();

  /** A sampled row and a listing can meet. */
  async function onDifference(difference: Difference): Promise<void> {
    const name = `${difference.kind} ${difference.key}`;
    if (told.has(name)) return;
    told.add(name);
    await options.onDifference(difference);
  }

  async function newestUploads(keys: readonly string[]): Promise<Map<string, UploadedRow>> {
    const rows = await reader.uploadsOf(place.bucket, keys);
    return new Map(rows.filter(isUploaded).map((row) => [row.object_key, row]));
  }

  async function checkListed(row: UploadedRow, listed: ListedObject): Promise<void> {
    const object = heads ? await bucket.head(row.object_key) : listed;
    const difference = differenceOf(row, object) ?? (content ? await contentDifferenceOf(row, bucket) : undefined);
    if (difference !== undefined) await onDifference(difference);
  }

  /** The object of one row, asked for by its key. */
  async function checkRow(row: UploadedRow): Promise<void> {
    const object = await bucket.head(row.object_key);
    let expected = row;
    let difference = differenceOf(row, object);
    if (difference !== undefined) {
      expected = (await newestUploads([row.object_key])).get(row.object_key) ?? row;
      difference = differenceOf(expected, object);
    }
    if (difference === undefined && content) difference = await contentDifferenceOf(expected, bucket);
    if (difference !== undefined) await onDifference(difference);
    onChecked(1);
  }

  return {
    /** Each of these objects must be known, and be what its newest row says. */
    async objects(listed: readonly ListedObject[], seen?: KeySet): Promise<void> {
      const rows = await newestUploads(listed.map(({ key }) => key));
      await inParallel(listed, parallelRequests, async (object) => {
        const row = rows.get(object.key);
        if (row !== undefined) await checkListed(row, object);
        else if (object.lastModified.getTime() > startedAt - youngMs) young.push(object);
        else await onDifference(unknownObject(place.bucket, object));
        seen?.add(object.key);
      });
      onChecked(listed.length);
    },

    /** Asks once more for the rows of young objects that had none. */
    async youngObjects(): Promise<void> {
      for (let from = 0; from < young.length; from += 1000) {
        const objects = young.slice(from, from + 1000);
        const rows = await newestUploads(objects.map(({ key }) => key));
        for (const object of objects)
          if (!rows.has(object.key)) await onDifference(unknownObject(place.bucket, object));
      }
    },

    /** The object of each row of this place that fits must be there. Rows whose key was seen are passed over. */
    async rowsThatFit(filter: LedgerFilter, { seen, before }: { seen?: KeySet; before?: Date } = {}): Promise<void> {
      await reader.each({ ...filter, status: 'uploaded' }, async (rows) => {
        const due = rows
          .filter(isUploaded)
          .filter(
            ({ bucket, object_key, uploaded_at }) =>
              bucket === place.bucket &&
              object_key.startsWith(place.keyPrefix) &&
              seen?.has(object_key) !== true &&
              (before === undefined || uploaded_at === null || new Date(uploaded_at) < before),
          );
        await inParallel(due, parallelRequests, checkRow);
      });
    },

    async sampledRows(count: number): Promise<UploadedRow[]> {
      const rows = (await reader.sample(place, count)).filter(isUploaded);
      await inParallel(rows, parallelRequests, checkRow);
      return rows;
    },
  };
}

const isUploaded = (row: RecordedRow): row is UploadedRow =>
  row.status === 'uploaded' && row.object_key !== null && row.sha256 !== null;
