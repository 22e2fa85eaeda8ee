/**
 * Objects as witnesses. The daemon puts into the metadata of each object it stores the hash of the row that was the head
 * of its chain at that moment, and the id of the file. Whoever cuts off the end of a chain, or computes all of it anew,
 * would have to change the objects as well.
 */
import type { RecordedRow } from '../../ledger/reader.ts';
import { metadataNames } from '../../s3/object-metadata.ts';
import type { ListedObject, ObjectReader } from '../../s3/read-objects.ts';
import { inParallel } from './in-parallel.ts';

/**
 * - `rewritten`: no row before the object's own has the hash that was the head when it was stored.
 * - `cut`: neither that head nor the object's own row is in the ledger.
 * - `unrecorded`: the head is there, the object's own row is not.
 * The last two are true of an upload whose row is still on its way, too.
 */
export interface AnchorFinding {
  readonly kind: 'rewritten' | 'cut' | 'unrecorded';
  readonly key: string;
  readonly storedAt: string;
  /** The hash that the object names. */
  readonly head: string;
  /** Its own row; null where there is none. */
  readonly ledgerId: string | null;
}

interface Anchor {
  readonly object: ListedObject;
  readonly head: string;
  readonly fileId: string;
}

interface Place {
  readonly chain: string;
  readonly seq: number;
  readonly id: string;
}

const parallelRequests = 32;

/** Asks for the heads of these objects; first objects of a chain, and objects of others, name no hash. */
export async function readAnchors(
  objects: readonly ListedObject[],
  bucket: Pick<ObjectReader, 'head'>,
  onRead: (count: number) => void,
): Promise<Anchor[]> {
  const anchors: Anchor[] = [];
  await inParallel(objects, parallelRequests, async (object) => {
    const metadata = (await bucket.head(object.key))?.metadata;
    const head = metadata?.[metadataNames.head];
    const fileId = metadata?.[metadataNames.fileId];
    if (head !== undefined && fileId !== undefined) anchors.push({ object, head, fileId });
    onRead(1);
  });
  return anchors;
}

/** Wants every row of the ledger once, in any order, read after the objects were. */
export function createAnchorCheck(anchors: readonly Anchor[]) {
  const heads = new Map<string, Place | undefined>(anchors.map(({ head }) => [head, undefined]));
  const files = new Map<string, Place | undefined>(anchors.map(({ fileId }) => [fileId, undefined]));
  return {
    add({ row_hash, file_id, status, chain, seq, id }: RecordedRow): void {
      if (heads.has(row_hash)) heads.set(row_hash, { chain, seq, id });
      if (status === 'uploaded' && files.has(file_id)) files.set(file_id, { chain, seq, id });
    },

    findings(): AnchorFinding[] {
      return anchors.flatMap(({ object, head, fileId }) => {
        const kind = kindOf(heads.get(head), files.get(fileId));
        const ledgerId = files.get(fileId)?.id ?? null;
        const storedAt = object.lastModified.toISOString();
        return kind === undefined ? [] : [{ kind, key: object.key, storedAt, head, ledgerId }];
      });
    },
  };
}

function kindOf(head: Place | undefined, own: Place | undefined): AnchorFinding['kind'] | undefined {
  if (own === undefined) return head === undefined ? 'cut' : 'unrecorded';
  return head !== undefined && head.chain === own.chain && head.seq < own.seq ? undefined : 'rewritten';
}

/** All of them, or the `count` newest and as many others at random. */
export async function chooseObjects(
  pages: AsyncIterable<readonly ListedObject[]>,
  count: number | undefined,
): Promise<ListedObject[]> {
  const newest: ListedObject[] = [];
  const others: ListedObject[] = [];
  let seen = 0;
  for await (const page of pages) {
    newest.push(...page);
    if (count === undefined) continue;
    newest.sort((a, b) => b.lastModified.getTime() - a.lastModified.getTime());
    for (const object of newest.splice(count)) {
      // Reservoir sampling: the n-th one stays with a chance of count in n.
      seen += 1;
      if (others.length < count) others.push(object);
      else if (Math.random() * seen < count) others[Math.floor(Math.random() * count)] = object;
    }
  }
  return [...newest, ...others];
}
