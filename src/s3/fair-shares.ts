/** Small files share one lane; each large upload is a lane of its own. */
export type Lane = 'small' | object;

export interface FairShares {
  /** Waits for so much of the total; what it gives is returned by disposing it. Rejects with the signal's reason. */
  take(lane: Lane, amount: number, signal: AbortSignal): Promise<Disposable>;
  /** The most that one taker of a large lane can ever get. */
  readonly largest: number;
}

interface Waiter {
  readonly amount: number;
  readonly grant: (fromReserve: boolean) => void;
}

/**
 * A total (of requests, of bytes of memory) that lanes take turns at, so that a file of a terabyte does not starve the
 * small ones and a stream of small ones does not stall it. A turn that does not fit waits, and the turns behind it wait
 * with it, or large amounts would never fit. Beside their turns, small files alone may use the reserve.
 */
export function createFairShares({
  total,
  reservedForSmall,
}: {
  readonly total: number;
  readonly reservedForSmall: number;
}): FairShares {
  const largest = total - reservedForSmall;
  let sharedFree = largest;
  let reserveFree = reservedForSmall;
  // insertion order is the order of turns: a lane that had its turn goes to the end
  const lanes = new Map<Lane, Waiter[]>();

  function grantNext(): void {
    for (let [small] = lanes.get('small') ?? []; small !== undefined && small.amount <= reserveFree; ) {
      reserveFree -= small.amount;
      shift('small').grant(true);
      [small] = lanes.get('small') ?? [];
    }
    for (let [next] = lanes; next !== undefined; [next] = lanes) {
      const [lane, [first]] = next;
      if (first === undefined || first.amount > sharedFree) return;
      sharedFree -= first.amount;
      shift(lane).grant(false);
    }
  }

  /** Takes the first waiter of the lane, and sends the lane to the end of the round. */
  function shift(lane: Lane): Waiter {
    const waiters = lanes.get(lane) as Waiter[];
    const waiter = waiters.shift() as Waiter;
    lanes.delete(lane);
    if (waiters.length > 0) lanes.set(lane, waiters);
    return waiter;
  }

  function giveBack(amount: number, fromReserve: boolean): void {
    if (fromReserve) reserveFree += amount;
    else sharedFree += amount;
    grantNext();
  }

  return {
    largest,
    take(lane, amount, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (amount > largest)
          return reject(new RangeError(`${amount} is more than can ever be had at once (${largest})`));
        const waiter: Waiter = {
          amount,
          grant(fromReserve) {
            signal.removeEventListener('abort', giveUp);
            let held = true;
            resolve({
              [Symbol.dispose]() {
                if (held) giveBack(amount, fromReserve);
                held = false;
              },
            });
          },
        };
        const giveUp = () => {
          const waiters = lanes.get(lane) ?? [];
          const rest = waiters.filter((other) => other !== waiter);
          if (rest.length > 0) lanes.set(lane, rest);
          else lanes.delete(lane);
          reject(signal.reason);
          grantNext();
        };
        signal.addEventListener('abort', giveUp, { once: true });
        const waiters = lanes.get(lane);
        if (waiters === undefined) lanes.set(lane, [waiter]);
        else waiters.push(waiter);
        grantNext();
      });
    },
  };
}
