import { exitCode, UsageError } from '../service/errors.ts';
import { type Command, type GivenOptions, textOf } from './command.ts';
import { type BucketCheck, createBucketCheck } from './ledger/bucket-check.ts';
import { countOf, filterOptions, readFilter } from './ledger/filter-options.ts';
import { openInventory } from './ledger/inventory.ts';
import { createKeySet } from './ledger/key-set.ts';
import type { Difference } from './ledger/object-check.ts';
import { openBucket, sharedPrefix } from './ledger/object-login.ts';
import { openReader, type ReaderLogin, readerOptions } from './ledger/reader-login.ts';
import { type Looks, looksOf, type Style, writing } from './terminal/output.ts';
import { showProgress } from './terminal/progress.ts';
import { countText, printable } from './terminal/text.ts';

const { since, until, path, host } = filterOptions;

export const verify: Command = {
  details: `Both ways: every object that the ledger tells of must be there as it was stored, and every object under the prefix must be
in the ledger. It asks S3 for each object's head (size, ETag, checksum, metadata); --content reads all bytes and hashes
them. With --since, --until, --path or --host only the ledger's side is looked at, for rows that fit.

It runs as whoever may list the bucket and read its objects (s3:ListBucket, s3:GetObject), which the daemon may not: such
as AWS_PROFILE=auditor dropledger verify. Exit code 1 where anything differs.`,
  options: {
    sample: { value: 'COUNT', describe: 'so many rows at random, and the objects next to some of them' },
    content: { describe: 'read the objects and compare their sha256' },
    inventory: { value: 'MANIFEST', describe: 'the manifest.json of an S3 Inventory, instead of listing and heads' },
    ...{ since, until, path, host },
    ...readerOptions,
    json: { describe: 'print JSON lines: each difference, then the summary' },
  },

  async run(given, around) {
    const plan = planOf(given);
    await using login = await openReader(given, around);
    using bucket = openBucket(login);
    const place = { bucket: login.config.s3.bucket, keyPrefix: sharedPrefix(login.config) };
    using progress = showProgress(around, 'objects', undefined);
    const looks = looksOf(around.stdout, around.env);
    const asJson = given['json'] === true;
    let checked = 0;
    const counts = new Map<Difference['kind'], number>();
    return await writing(around, async (write) => {
      const check = createBucketCheck({
        ...{ reader: login.reader, bucket, place },
        content: given['content'] === true,
        heads: plan.inventory === undefined && plan.sample === undefined,
        async onDifference(difference) {
          counts.set(difference.kind, (counts.get(difference.kind) ?? 0) + 1);
          await write(asJson ? `${JSON.stringify({ difference })}\n` : describe(difference, looks));
        },
        onChecked(count) {
          checked += count;
          progress.advance(count);
        },
      });
      await carryOut(plan, check, { login, list: bucket.list, keyPrefix: place.keyPrefix });
      progress[Symbol.dispose]();
      const differences = Object.fromEntries(counts);
      await write(asJson ? `${JSON.stringify({ checked, differences })}\n` : summary(checked, counts, looks));
      return counts.size === 0 ? exitCode.fine : exitCode.failed;
    });
  },
};

interface Plan {
  readonly sample: number | undefined;
  readonly inventory: string | undefined;
  readonly filter: ReturnType<typeof readFilter>;
  readonly filtered: boolean;
}

function planOf(given: GivenOptions): Plan {
  const sample = countOf(given, 'sample');
  const inventory = textOf(given, 'inventory');
  const filter = readFilter(given);
  const filtered = Object.values(filter).some((part) => part !== undefined);
  if ([sample !== undefined, inventory !== undefined, filtered].filter(Boolean).length > 1)
    throw new UsageError('--sample, --inventory and the filters go one at a time');
  return { sample, inventory, filter, filtered };
}

type List = ReturnType<typeof openBucket>['list'];

async function carryOut(
  { sample, inventory: manifest, filter, filtered }: Plan,
  check: BucketCheck,
  { login, list, keyPrefix }: { login: ReaderLogin; list: List; keyPrefix: string },
): Promise<void> {
  if (sample !== undefined) await carryOutSample(sample, check, list, keyPrefix);
  else if (filtered) await check.rowsThatFit(filter);
  else {
    const inventory = manifest === undefined ? undefined : await openInventory(manifest);
    if (inventory !== undefined && inventory.bucket !== login.config.s3.bucket)
      throw new UsageError(`that inventory is of the bucket ${inventory.bucket}, not of ${login.config.s3.bucket}`);
    const seen = createKeySet();
    for await (const page of inventory?.pages(keyPrefix) ?? list(keyPrefix)) await check.objects(page, seen);
    await check.youngObjects();
    await check.rowsThatFit({}, inventory === undefined ? { seen } : { seen, before: inventory.createdAt });
  }
}

/** A listing can't begin at random, but behind a random row's key. */
async function carryOutSample(count: number, check: BucketCheck, list: List, keyPrefix: string): Promise<void> {
  const rows = await check.sampledRows(count);
  for (const { object_key } of rows.slice(0, Math.ceil(count / 100))) {
    for await (const page of list(keyPrefix, { after: object_key })) {
      await check.objects(page);
      break;
    }
  }
  await check.youngObjects();
}

const styleOf: Readonly<Record<Difference['kind'], Style>> = {
  missing: 'red',
  replaced: 'red',
  content: 'red',
  unknown: 'yellow',
};

const describe = ({ kind, key, ledgerId, detail }: Difference, { paint }: Looks): string =>
  `${paint(styleOf[kind], `✗ ${kind.padEnd(8)}`)}  ${printable(key)}\n${' '.repeat(12)}${printable(detail)}${ledgerId === null ? '' : paint('dim', ` (row ${ledgerId})`)}\n`;

function summary(checked: number, counts: ReadonlyMap<string, number>, { paint }: Looks): string {
  if (counts.size === 0) return `${paint('green', '✓')} ${countText(checked)} objects are as the ledger says\n`;
  const kinds = [...counts].map(([kind, count]) => `${countText(count)} ${kind}`).join(', ');
  return `${paint('red', '✗')} of ${countText(checked)} objects checked: ${kinds}\n`;
}
