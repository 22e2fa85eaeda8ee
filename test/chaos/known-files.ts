/** What the writers know of the files that they made: the truth that the ledger and the bucket are held to. */
import type { RelativePath } from '../../src/model.ts';
import type { Content } from './content.ts';

/** A state that a file was in: these bytes under this path. It may have been seen so, and recorded. */
export interface Occurrence {
  readonly path: RelativePath;
  readonly sha256: string;
  readonly size: number;
}

/** One file, from its first byte on, under whatever names. */
export interface KnownFile {
  readonly id: number;
  readonly occurrences: Occurrence[];
  /** The content it has at last, and where it was last seen. */
  last: Occurrence;
  /**
   * `whole`: no writer destroyed it. `destroyed`: by a writer, surely while it was still in the folder. `perhaps`: a
   * writer may have been the one.
   */
  fate: 'whole' | 'destroyed' | 'perhaps';
  /** Bytes may have been written after it had left the folder: which of its states was recorded cannot be told. */
  isLate: boolean;
  /** Written by another program: it may have been seen with the beginning of these bytes alone. */
  readonly copied: Content | undefined;
  /** What the reason must say; undefined where it is to be accepted. */
  readonly rejected: RegExp | undefined;
}

export interface NewFile {
  readonly path: RelativePath;
  readonly sha256: string;
  readonly size: number;
  readonly copied?: Content;
  readonly rejected?: RegExp | undefined;
}

export type KnownFiles = ReturnType<typeof createKnownFiles>;

export function createKnownFiles() {
  const all: KnownFile[] = [];
  const current = new Map<RelativePath, KnownFile>();
  /** Files whose names are ignored: they must stay. */
  const ignored = new Set<RelativePath>();

  return {
    all: all as readonly KnownFile[],
    ignored,

    /** The last file that was put under this path; it may have left the folder. */
    at: (path: RelativePath): KnownFile | undefined => current.get(path),

    /** Those whose last path is in the folder. */
    below: (folder: RelativePath): KnownFile[] =>
      [...current.values()].filter(({ last }) => last.path.startsWith(`${folder}/`)),

    add({ copied, rejected, ...last }: NewFile): KnownFile {
      const file: KnownFile = {
        ...{ id: all.length, occurrences: [last], last, fate: 'whole', isLate: false, copied, rejected },
      };
      all.push(file);
      current.set(last.path, file);
      return file;
    },

    /** It has other bytes now, or another path. */
    became(file: KnownFile, change: Partial<Occurrence>): void {
      const before = file.last.path;
      file.last = { ...file.last, ...change };
      file.occurrences.push(file.last);
      if (file.last.path !== before) {
        if (current.get(before) === file) current.delete(before);
        current.set(file.last.path, file);
      }
    },

    forget(path: RelativePath): void {
      current.delete(path);
    },
  };
}
