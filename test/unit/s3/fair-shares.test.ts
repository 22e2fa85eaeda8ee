import { describe, expect, it } from 'vitest';
import { createFairShares, type Lane } from '../../../src/s3/fair-shares.ts';
import { createPartBuffers } from '../../../src/s3/part-buffers.ts';

const { signal } = new AbortController();

/** Takes in order and tells who was given what so far. */
function taker(shares: ReturnType<typeof createFairShares>) {
  const given: string[] = [];
  return {
    given,
    async take(name: string, lane: Lane, amount = 1) {
      const share = await shares.take(lane, amount, signal);
      given.push(name);
      return share;
    },
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('fair shares', () => {
  it('are never more than the total', async () => {
    const shares = createFairShares({ total: 3, reservedForSmall: 1 });
    let held = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        using _share = await shares.take(n % 3 === 0 ? 'small' : { n }, 1, signal);
        held += 1;
        most = Math.max(most, held);
        await settled();
        held -= 1;
      }),
    );
    expect(most).toBe(3);
  });

  it('go around the lanes, whoever came first', async () => {
    const shares = createFairShares({ total: 1, reservedForSmall: 0 });
    const { take, given } = taker(shares);
    const first = await take('first', 'small');
    const [a, b] = [{}, {}];
    const queue = [take('a1', a), take('a2', a), take('a3', a), take('b1', b), take('s1', 'small'), take('b2', b)];
    first[Symbol.dispose]();
    await Promise.all(queue.map(async (waiting) => (await waiting)[Symbol.dispose]()));
    expect(given).toEqual(['first', 'a1', 'b1', 's1', 'a2', 'b2', 'a3']);
  });

  it('keep some for small files alone', async () => {
    const shares = createFairShares({ total: 4, reservedForSmall: 1 });
    const { take, given } = taker(shares);
    const large = {};
    const held = [take('1', large), take('2', large), take('3', large), take('4', large)];
    await settled();
    expect(given).toEqual(['1', '2', '3']);
    const small = await take('small', 'small');
    small[Symbol.dispose]();
    await settled();
    expect(given).toEqual(['1', '2', '3', 'small']);
    (await (held[0] as (typeof held)[number]))[Symbol.dispose]();
    await held[3];
  });

  it('let a large amount wait for its turn without being overtaken for ever', async () => {
    const shares = createFairShares({ total: 10, reservedForSmall: 0 });
    const { take, given } = taker(shares);
    const first = await take('first', 'small', 6);
    const large = take('large', {}, 8);
    const next = take('next', 'small', 2);
    await settled();
    expect(given).toEqual(['first']);
    first[Symbol.dispose]();
    await Promise.all([large, next]);
    expect(given).toEqual(['first', 'large', 'next']);
  });

  it('are not waited for any longer once the signal aborts', async () => {
    const shares = createFairShares({ total: 1, reservedForSmall: 0 });
    const held = await shares.take('small', 1, signal);
    const stop = new AbortController();
    const waiting = shares.take('small', 1, stop.signal);
    const behind = shares.take('small', 1, signal);
    const reason = new Error('stop');
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    await behind;
    await expect(shares.take('small', 1, stop.signal)).rejects.toBe(reason);
  });

  it('refuse what can never be had', async () => {
    const shares = createFairShares({ total: 4, reservedForSmall: 1 });
    await expect(shares.take({}, 4, signal)).rejects.toBeInstanceOf(RangeError);
  });
});

describe('part buffers', () => {
  const mebibyte = 2 ** 20;

  it('have exactly the size asked for, and are used again', async () => {
    using buffers = createPartBuffers({ memoryBytes: 4 * mebibyte, partSizeBytes: mebibyte });
    const first = await buffers.take(mebibyte, {}, signal);
    expect(first.bytes.byteLength).toBe(mebibyte);
    const memory = first.bytes.buffer;
    first[Symbol.dispose]();
    using second = await buffers.take(mebibyte - 5, {}, signal);
    expect(second.bytes.byteLength).toBe(mebibyte - 5);
    expect(second.bytes.buffer).toBe(memory);
    using empty = await buffers.take(0, 'small', signal);
    expect(empty.bytes.byteLength).toBe(0);
  });

  it('never are more than the memory, over all files', async () => {
    using buffers = createPartBuffers({ memoryBytes: 4 * mebibyte, partSizeBytes: mebibyte });
    let held = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const size = n % 2 === 0 ? mebibyte : 300_000;
        using buffer = await buffers.take(size, n % 4 < 2 ? 'small' : { n }, signal);
        held += buffer.bytes.buffer.byteLength;
        most = Math.max(most, held);
        await settled();
        held -= buffer.bytes.buffer.byteLength;
      }),
    );
    expect(most).toBeGreaterThan(2 * mebibyte);
    expect(most).toBeLessThanOrEqual(4 * mebibyte);
  });
});
