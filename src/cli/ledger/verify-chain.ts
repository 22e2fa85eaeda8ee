import { type ChainFinding, type ChainReport, type ChainState, createChainCheck } from '../../ledger/chain-check.ts';
import { exitCode, UsageError } from '../../service/errors.ts';
import type { Command, GivenOptions, Surroundings } from '../command.ts';
import { type Looks, looksOf, writing } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { countText, printable } from '../terminal/text.ts';
import { type Column, textTable } from '../terminal/text-table.ts';
import { type AnchorFinding, chooseObjects, createAnchorCheck, readAnchors } from './anchors.ts';
import { countOf, filterOptions, readFilter } from './filter-options.ts';
import { openBucket, sharedPrefix } from './object-login.ts';
import { openReader, type ReaderLogin, readerOptions } from './reader-login.ts';

const { since } = filterOptions;

export const verifyChain: Command = {
  details: `Computes the hash of every row anew and follows each chain from row to row: names what was altered, what is missing, what
has a place twice. A chain alone can't show that its end was cut off or that all of it was computed anew: --anchors asks
the objects, whose metadata tells the head of the chain when each was stored. That needs a role that may read the bucket
(s3:ListBucket, s3:GetObject). Exit code 1 where anything is wrong.`,
  options: {
    since,
    anchors: { describe: 'compare with the metadata of the objects' },
    sample: { value: 'COUNT', describe: 'with --anchors: so many of the newest objects, and as many others at random' },
    ...readerOptions,
    json: { describe: 'print the result as one JSON object' },
  },

  async run(given, around) {
    const filter = readFilter(given);
    if (given['anchors'] === true && filter.since !== undefined)
      throw new UsageError('--anchors needs all rows: leave --since out');
    if (given['anchors'] !== true && given['sample'] !== undefined)
      throw new UsageError('--sample goes with --anchors');
    await using login = await openReader(given, around);
    const anchors = given['anchors'] === true ? await anchorsOf(login, given, around) : undefined;
    const anchorCheck = createAnchorCheck(anchors ?? []);
    const chainCheck = createChainCheck({ fromStart: filter.since === undefined });
    {
      using progress = showProgress(around, 'rows', around.stderr.isTTY ? await login.reader.estimate(filter) : 0);
      await login.reader.each(filter, (rows) => {
        for (const row of rows) {
          chainCheck.add(row);
          anchorCheck.add(row);
        }
        progress.advance(rows.length);
      });
    }
    const chains = chainCheck.report();
    const anchorFindings = anchorCheck.findings();
    return await writing(around, async (write) => {
      const looks = looksOf(around.stdout, around.env);
      const read = anchors?.length;
      if (given['json'] === true)
        await write(`${JSON.stringify({ ...chains, anchors: read ?? null, anchorFindings })}\n`);
      else await write(describe(chains, anchorFindings, read, looks));
      return chains.findingCount + anchorFindings.length === 0 ? exitCode.fine : exitCode.failed;
    });
  },
};

/** Read before the rows are, so that every row that an object names can be there. */
async function anchorsOf(login: ReaderLogin, given: GivenOptions, around: Surroundings) {
  using bucket = openBucket(login);
  const objects = await chooseObjects(bucket.list(sharedPrefix(login.config)), countOf(given, 'sample'));
  using progress = showProgress(around, 'objects', objects.length);
  return await readAnchors(objects, bucket, progress.advance);
}

const shownFindings = 50;

function describe(
  { rows, chains, findings, findingCount }: ChainReport,
  anchorFindings: readonly AnchorFinding[],
  anchors: number | undefined,
  looks: Looks,
): string {
  const { paint } = looks;
  const wrong = [...findings.map(describeFinding), ...anchorFindings.map(describeAnchor)];
  const count = findingCount + anchorFindings.length;
  const hidden = count - Math.min(wrong.length, shownFindings);
  const checked = `${countText(rows)} rows in ${countText(chains.length)} chains${anchors === undefined ? '' : `, ${countText(anchors)} objects as witnesses`}`;
  const verdict =
    count === 0
      ? `${paint('green', '✓')} nothing is altered, missing or forked: ${checked}`
      : `${paint('red', '✗')} ${countText(count)} findings in ${checked}`;
  return [
    ...(chains.length === 0 ? [] : [textTable(chainColumns, chains, looks), '']),
    ...wrong.slice(0, shownFindings).map((text) => `${paint('red', '✗')} ${printable(text)}`),
    ...(hidden > 0 ? [`  … and ${countText(hidden)} more (--json tells the first 1,000 of the chains)`] : []),
    verdict,
    '',
  ].join('\n');
}

const chainColumns: readonly Column<ChainState>[] = [
  { title: 'chain', cell: ({ chain }) => chain },
  { title: 'host', cell: ({ host }) => host, shrinks: true },
  { title: 'rows', cell: ({ rows }) => countText(rows), alignRight: true },
  { title: 'from', cell: ({ firstSeq }) => countText(firstSeq), alignRight: true },
  { title: 'to', cell: ({ lastSeq }) => countText(lastSeq), alignRight: true },
  { title: 'head', cell: ({ head }) => `${head.slice(0, 16)}…`, style: () => 'dim' },
];

function describeFinding({ kind, chain, seq, lastSeq, id }: ChainFinding): string {
  const row = `row ${countText(seq)} of chain ${chain}${id === null ? '' : ` (${id})`}`;
  switch (kind) {
    case 'altered':
      return `${row} was altered: its content does not give its hash`;
    case 'broken':
      return `${row} does not follow the row before it: one of the two was altered together with its hash`;
    case 'fork':
      return `${row} has a place that another row has as well`;
    case 'gap':
      return lastSeq === seq
        ? `${row} is missing: removed, or set aside in its daemon's journal (event set-aside)`
        : `rows ${countText(seq)} to ${countText(lastSeq)} of chain ${chain} are missing: removed, or set aside in their daemon's journal (event set-aside)`;
  }
}

function describeAnchor({ kind, key, storedAt, head, ledgerId }: AnchorFinding): string {
  const witness = `${key}, stored ${storedAt},`;
  switch (kind) {
    case 'rewritten':
      return `${witness} names ${head.slice(0, 16)}… as the chain's head, and no row before its own (${ledgerId}) has that hash: the chain was computed anew`;
    case 'cut':
      return `${witness} has no row, nor is the head it names (${head.slice(0, 16)}…) in the ledger: the chain's end was cut off, or is still on its way`;
    case 'unrecorded':
      return `${witness} has no row, though the row before it is there: it was cut off, or is still on its way`;
  }
}
