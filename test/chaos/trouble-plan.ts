import type { Weather } from './network-weather.ts';
import type { Timed } from './plan.ts';
import type { Random } from './random.ts';

/** Something that goes wrong, and is over after a while. */
export type Trouble =
  | { readonly what: 'kill' | 'terminate'; readonly downMs: number }
  /** SIGSTOP and SIGCONT: its event loop stands still, events pile up. */
  | { readonly what: 'freeze'; readonly forMs: number }
  | { readonly what: 'reload' }
  | { readonly what: 'postgres-down'; readonly how: 'fast' | 'immediate'; readonly forMs: number }
  /** As a failover does: every connection is gone. */
  | { readonly what: 'postgres-drops-connections' }
  | { readonly what: 's3-down'; readonly forMs: number }
  /** Of so many requests one gets one of the faults, drawn with this seed. */
  | { readonly what: 's3-faults'; readonly seed: number; readonly oneIn: number; readonly forMs: number }
  | { readonly what: 'network'; readonly to: 's3' | 'ledger'; readonly weather: Weather; readonly forMs: number }
  | {
      readonly what: 'credentials';
      readonly how: 'rotated' | 'revoked' | 'expired' | 'half-written' | 'missing';
      readonly forMs: number;
    };

interface TroubleOptions {
  readonly durationMs: number;
  readonly ownStore: boolean;
}

/** Four courses: the process, the servers, the network, the credentials. */
export function troublesFor(random: Random, { durationMs, ownStore }: TroubleOptions): Timed<Trouble>[][] {
  const course = (gapMs: readonly [number, number], next: () => Trouble) => {
    const acts: Timed<Trouble>[] = [];
    for (let atMs = random.between(...gapMs); ; ) {
      const act = next();
      const forMs = 'forMs' in act ? act.forMs : 'downMs' in act ? act.downMs : 0;
      if (atMs + forMs > durationMs) return acts;
      acts.push({ atMs, act });
      atMs += forMs + random.between(...gapMs);
    }
  };
  return [
    course([500, 9000], () => processTrouble(random)),
    course([2000, 20_000], () => serverTrouble(random, ownStore)),
    course([1000, 12_000], () => networkTrouble(random)),
    ...(ownStore ? [course([8000, 40_000], () => credentialTrouble(random))] : []),
  ];
}

const processTrouble = (random: Random): Trouble =>
  random.weighted<Trouble>([
    [
      6,
      {
        what: 'kill',
        downMs: random.weighted([
          [3, 0],
          [1, random.between(1, 4000)],
        ]),
      },
    ],
    [3, { what: 'terminate', downMs: random.between(0, 2000) }],
    [1, { what: 'freeze', forMs: random.between(200, 5000) }],
    [1, { what: 'reload' }],
  ]);

const serverTrouble = (random: Random, ownStore: boolean): Trouble =>
  random.weighted<Trouble>([
    [3, { what: 'postgres-down', how: random.pick(['fast', 'immediate']), forMs: random.between(0, 8000) }],
    [2, { what: 'postgres-drops-connections' }],
    [3, { what: 's3-down', forMs: random.between(0, 6000) }],
    [
      ownStore ? 3 : 0,
      {
        what: 's3-faults',
        seed: random.between(1, 2 ** 31),
        oneIn: random.pick([2, 4, 10]),
        forMs: random.between(1000, 8000),
      },
    ],
  ]);

const networkTrouble = (random: Random): Trouble => {
  const to = random.pick(['s3', 's3', 'ledger'] as const);
  const weather = random.weighted<Weather>([
    [1, { kind: 'refuse' }],
    [3, { kind: 'reset', afterBytes: random.pick([0, 200, 5000, 300_000, 4_000_000]) }],
    [3, { kind: 'lose-answers', oneIn: random.pick([1, 2, 5]) }],
    [2, { kind: 'stall', afterBytes: random.pick([0, 1000, 2_000_000]), thenReset: random.chance(0.5) }],
    [
      2,
      { kind: 'slow', bytesPerSecond: random.pick([1000, 100_000, 2_000_000]), latencyMs: random.pick([0, 50, 500]) },
    ],
  ]);
  return { what: 'network', to, weather, forMs: random.between(300, random.chance(0.1) ? 30_000 : 5000) };
};

const credentialTrouble = (random: Random): Trouble => ({
  what: 'credentials',
  how: random.pick(['rotated', 'revoked', 'expired', 'half-written', 'missing']),
  forMs: random.between(100, 5000),
});
