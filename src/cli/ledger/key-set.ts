import { hash } from 'node:crypto';

/** Which keys were seen, at 16 bytes or less for each: a bucket may have a hundred million of them. */
export interface KeySet {
  add(key: string): void;
  /** Wrong about one key in 10^19 / (number of keys). */
  has(key: string): boolean;
}

const leastSlots = 1 << 16;

/** An open-addressed table of 64-bit hashes; zero marks a free slot. */
export function createKeySet(): KeySet {
  let slots = new BigUint64Array(leastSlots);
  let used = 0;

  function slotOf(mark: bigint): number {
    const mask = slots.length - 1;
    let slot = Number(mark & BigInt(mask));
    while (slots[slot] !== 0n && slots[slot] !== mark) slot = (slot + 1) & mask;
    return slot;
  }

  function grow(): void {
    const full = slots;
    slots = new BigUint64Array(full.length * 2);
    for (const mark of full) if (mark !== 0n) slots[slotOf(mark)] = mark;
  }

  return {
    add(key) {
      const mark = markOf(key);
      const slot = slotOf(mark);
      if (slots[slot] === mark) return;
      slots[slot] = mark;
      used += 1;
      if (used > slots.length / 2) grow();
    },
    has: (key) => slots[slotOf(markOf(key))] !== 0n,
  };
}

const markOf = (key: string): bigint => hash('sha256', key, 'buffer').readBigUInt64LE() || 1n;
