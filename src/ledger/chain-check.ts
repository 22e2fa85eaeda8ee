/**
 * Checks the hash chains of the ledger's rows. It wants each row once, in roughly the order of the chains: what it keeps
 * in memory are the stretches of each chain that were seen so far without a gap, which are few as long as rows come
 * nearly in order.
 */
import type { LedgerRow } from '../model.ts';
import { rowHash } from './row-hash.ts';

/**
 * - `altered`: the row's content does not give its `row_hash`.
 * - `broken`: its `previous_hash` is not the hash of the row before it: one of the two was altered, hash included, or
 *   everything up to here was made anew.
 * - `fork`: there is another row with this place in the chain.
 * - `gap`: the rows from `seq` to `lastSeq` are missing.
 */
export interface ChainFinding {
  readonly kind: 'altered' | 'broken' | 'fork' | 'gap';
  readonly chain: string;
  readonly seq: number;
  readonly lastSeq: number;
  /** The row; null for a gap. */
  readonly id: string | null;
}

export interface ChainState {
  readonly chain: string;
  /** Of its newest row. */
  readonly host: string;
  readonly instance: string;
  readonly rows: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** `row_hash` of its newest row. */
  readonly head: string;
}

export interface ChainReport {
  readonly rows: number;
  /** By chain id. */
  readonly chains: readonly ChainState[];
  /** How many there are; the first of them are in `findings`. */
  readonly findingCount: number;
  readonly findings: readonly ChainFinding[];
}

export interface ChainCheckOptions {
  /** Whether all rows come: then a chain that doesn't begin at 1 has a gap. */
  readonly fromStart: boolean;
  /** Findings beyond these are counted, not kept. */
  readonly keepFindings?: number;
}

/** Rows that follow each other without a gap. */
interface Stretch {
  firstSeq: number;
  /** `previous_hash` of the first row. */
  before: string | null;
  firstId: string;
  lastSeq: number;
  lastHash: string;
}

interface Chain {
  rows: number;
  newest: LedgerRow;
  /** By `firstSeq`. */
  readonly stretches: Stretch[];
}

export function createChainCheck({ fromStart, keepFindings = 1000 }: ChainCheckOptions) {
  const chains = new Map<string, Chain>();
  const findings: ChainFinding[] = [];
  let findingCount = 0;
  let rows = 0;

  function found(kind: ChainFinding['kind'], chain: string, seq: number, id: string | null, lastSeq = seq): void {
    findingCount += 1;
    if (findings.length < keepFindings) findings.push({ kind, chain, seq, lastSeq, id });
  }

  function place(stretches: Stretch[], row: LedgerRow): void {
    const { chain, seq, id, previous_hash: before, row_hash: hash } = row;
    // The first stretch that begins behind the row; it is nearly always behind the last one.
    let index = stretches.length;
    while (index > 0 && (stretches[index - 1] as Stretch).firstSeq > seq) index -= 1;
    const previous = stretches[index - 1];
    const next = stretches[index];
    if (previous !== undefined && seq <= previous.lastSeq) {
      found('fork', chain, seq, id);
      return;
    }
    const follows = previous?.lastSeq === seq - 1;
    const leads = next?.firstSeq === seq + 1;
    if (follows && before !== previous.lastHash) found('broken', chain, seq, id);
    if (leads && next.before !== hash) found('broken', chain, next.firstSeq, next.firstId);
    if (seq === 1 && before !== null) found('broken', chain, seq, id);
    if (follows && leads) {
      previous.lastSeq = next.lastSeq;
      previous.lastHash = next.lastHash;
      stretches.splice(index, 1);
    } else if (follows) {
      previous.lastSeq = seq;
      previous.lastHash = hash;
    } else if (leads) {
      next.firstSeq = seq;
      next.before = before;
      next.firstId = id;
    } else stretches.splice(index, 0, { firstSeq: seq, before, firstId: id, lastSeq: seq, lastHash: hash });
  }

  return {
    add(row: LedgerRow): void {
      rows += 1;
      if (rowHash(row) !== row.row_hash) found('altered', row.chain, row.seq, row.id);
      let chain = chains.get(row.chain);
      if (chain === undefined) {
        chain = { rows: 0, newest: row, stretches: [] };
        chains.set(row.chain, chain);
      }
      chain.rows += 1;
      if (row.seq > chain.newest.seq) chain.newest = row;
      place(chain.stretches, row);
    },

    report(): ChainReport {
      for (const [id, { stretches }] of chains) {
        let expected = fromStart ? 1 : (stretches[0]?.firstSeq ?? 1);
        for (const { firstSeq, lastSeq } of stretches) {
          if (firstSeq > expected) found('gap', id, expected, null, firstSeq - 1);
          expected = lastSeq + 1;
        }
      }
      return {
        rows,
        chains: [...chains.entries()]
          .map(([id, chain]) => stateOf(id, chain))
          .sort((a, b) => (a.chain < b.chain ? -1 : 1)),
        findingCount,
        findings,
      };
    },
  };
}

const stateOf = (chain: string, { rows, newest, stretches }: Chain): ChainState => ({
  chain,
  host: newest.host,
  instance: newest.instance,
  rows,
  firstSeq: stretches[0]?.firstSeq ?? newest.seq,
  lastSeq: newest.seq,
  head: newest.row_hash,
});
