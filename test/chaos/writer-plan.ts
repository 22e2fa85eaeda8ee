import type { Content } from './content.ts';
import type { Timed } from './plan.ts';
import type { Random } from './random.ts';

/** What somebody does in the drop folder. `path` is text, relative to it; `name` an index of the hostile names. */
export type WriterAct =
  /** Written elsewhere and renamed in, replacing what is there; or beside it, under a name that is ignored. */
  | { readonly does: 'put'; readonly path: string; readonly content: Content; readonly from: 'outside' | 'beside' }
  | { readonly does: 'put-hostile'; readonly folder: string; readonly name: number; readonly content: Content }
  /** The same as the last time, once more. */
  | { readonly does: 'put-again'; readonly path: string }
  /** In place, emptied first, in so many pieces with a pause between. */
  | {
      readonly does: 'write';
      readonly path: string;
      readonly content: Content;
      readonly pieces: number;
      readonly pauseMs: number;
    }
  | { readonly does: 'append'; readonly path: string; readonly content: Content }
  | { readonly does: 'delete'; readonly path: string }
  /** The bytes stay. */
  | { readonly does: 'set-mode'; readonly path: string; readonly mode: number }
  | { readonly does: 'set-times'; readonly path: string }
  /** A folder made elsewhere and renamed in. */
  | { readonly does: 'bring-folder'; readonly folder: string; readonly files: readonly Content[] }
  | { readonly does: 'rename-folder'; readonly from: string; readonly to: string }
  | { readonly does: 'take-folder'; readonly folder: string }
  /** `cp -r` into a new folder. */
  | { readonly does: 'copy'; readonly folder: string; readonly files: readonly Content[] }
  /** `rsync -a` of one folder again and again: those of its files are new. */
  | { readonly does: 'rsync'; readonly folder: string; readonly changed: Readonly<Record<string, Content>> }
  /** Stays where it is: its name says that it is not finished. */
  | { readonly does: 'leave-unfinished'; readonly path: string; readonly content: Content };

export interface WriterOptions {
  readonly durationMs: number;
  readonly settleMs: number;
}

const mebibyte = 2 ** 20;
/** The part size of the runs; what is larger goes up in parts. */
export const partSizeMiB = 5;

/** Each has a folder of its own, so that it alone knows what it did there. */
export function writersFor(random: Random, options: WriterOptions): Timed<WriterAct>[][] {
  const kinds = [replacer, appender, slowWriter, copier, mover, hostileNamer, replacer];
  return kinds.map((kind, index) => {
    let contents = 0;
    const draw: Draw = {
      random,
      settleMs: options.settleMs,
      folder: `w${index}`,
      content(size = sizeFrom(random)) {
        contents += 1;
        return { token: `w${index}-${contents}`, size };
      },
    };
    const acts: Timed<WriterAct>[] = [];
    const next = kind(draw);
    for (let atMs = random.between(0, 2000); atMs < options.durationMs; ) {
      const burst = random.chance(0.1) ? random.between(5, 25) : 1;
      for (let act = 0; act < burst; act += 1) acts.push({ atMs, act: next() });
      atMs += random.weighted([
        [3, random.between(0, options.settleMs)],
        [5, random.between(options.settleMs, 3000)],
        [1, random.between(3000, 12_000)],
      ]);
    }
    return acts;
  });
}

interface Draw {
  readonly random: Random;
  readonly settleMs: number;
  readonly folder: string;
  content(size?: number): Content;
}

const sizeFrom = (random: Random): number =>
  random.weighted([
    [3, random.between(0, 200)],
    [10, random.between(1, 20_000)],
    [3, random.between(20_000, 500_000)],
    [0.4, random.pick([0, 1, 4096, 5 * mebibyte - 1, 5 * mebibyte, 5 * mebibyte + 1])],
    [0.06, random.between(5 * mebibyte, 30 * mebibyte)],
  ]);

const extensions = ['.csv', '.tar.gz', '', '.pdf', '.x'];

const pathIn = ({ random, folder }: Draw, names = 12): string => {
  const number = random.between(1, names);
  const inside = number % 3 === 0 ? `${folder}/sub` : folder;
  return `${inside}/file ${number}${extensions[number % extensions.length]}`;
};

function replacer(draw: Draw): () => WriterAct {
  const { random, content } = draw;
  return () => {
    const path = pathIn(draw);
    return random.weighted<WriterAct>([
      [8, { does: 'put', path, content: content(), from: random.pick(['outside', 'beside']) }],
      [2, { does: 'put-again', path }],
      [2, { does: 'delete', path }],
      [1, { does: 'set-mode', path, mode: random.pick([0o600, 0o640, 0o644]) }],
      [1, { does: 'set-times', path }],
      [0.2, { does: 'leave-unfinished', path: `${path}${random.pick(['.tmp', '.part', '~'])}`, content: content(100) }],
    ]);
  };
}

function appender(draw: Draw): () => WriterAct {
  const { random, content } = draw;
  return () => {
    const path = `${draw.folder}/log ${random.between(1, 4)}.txt`;
    return random.weighted<WriterAct>([
      [12, { does: 'append', path, content: content(random.between(1, 3000)) }],
      [1, { does: 'append', path, content: content(random.between(mebibyte, 6 * mebibyte)) }],
      [1, { does: 'delete', path }],
    ]);
  };
}

function slowWriter(draw: Draw): () => WriterAct {
  const { random, content, settleMs } = draw;
  return () => ({
    does: 'write',
    path: pathIn(draw, 8),
    content: content(),
    pieces: random.between(1, 6),
    // mostly too short to be taken for the end, now and then not
    pauseMs: random.chance(0.1) ? random.between(settleMs, 3 * settleMs) : random.between(0, settleMs / 2),
  });
}

function copier(draw: Draw): () => WriterAct {
  const { random, content, folder } = draw;
  let copies = 0;
  return () => {
    if (random.chance(0.4)) {
      copies += 1;
      const files = Array.from({ length: random.between(1, 40) }, () => content(random.between(0, 50_000)));
      return { does: 'copy', folder: `${folder}/copy${copies}`, files };
    }
    const names = Array.from({ length: random.between(1, 5) }, () => `page${random.between(1, 8)}`);
    const changed = Object.fromEntries(names.map((name) => [name, content()]));
    return { does: 'rsync', folder: `${folder}/mirror`, changed };
  };
}

function mover(draw: Draw): () => WriterAct {
  const { random, content, folder } = draw;
  let made = 0;
  let names: string[] = [];
  return () => {
    const name = names.length === 0 ? undefined : random.pick(names);
    if (name === undefined || random.chance(0.6)) {
      made += 1;
      names = [...names.slice(-3), `${folder}/batch${made}`];
      const files = Array.from({ length: random.between(1, 20) }, () => content());
      return { does: 'bring-folder', folder: `${folder}/batch${made}`, files };
    }
    names = names.filter((other) => other !== name);
    if (random.chance(0.2)) return { does: 'take-folder', folder: name };
    made += 1;
    const to = `${folder}/renamed${made}`;
    names.push(to);
    return { does: 'rename-folder', from: name, to };
  };
}

function hostileNamer({ random, content, folder }: Draw): () => WriterAct {
  return () => ({
    does: 'put-hostile',
    folder: `${folder}/${random.between(1, 3)}`,
    name: random.between(0, 1000),
    content: content(random.between(0, 5000)),
  });
}
