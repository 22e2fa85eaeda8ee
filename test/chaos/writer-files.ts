/** What all writers do alike: staging, opening, and finding out what became of the file that was there. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RelativePath } from '../../src/model.ts';
import { codeOf } from '../../src/service/errors.ts';
import { parentOf } from '../../src/service/path-bytes.ts';
import { placeOf } from '../support/daemon-files.ts';
import type { KnownFile, KnownFiles, NewFile } from './known-files.ts';

export interface WriterPlaces {
  readonly inbox: string;
  /** This writer's own, outside the drop folder, on the same file system. */
  readonly outside: string;
  readonly known: KnownFiles;
  /** The daemon deletes what it has recorded: of a file that is gone nobody can tell who did it. */
  readonly daemonDeletes: boolean;
}

export type WriterFiles = ReturnType<typeof createWriterFiles>;

export function createWriterFiles({ inbox, outside, known, daemonDeletes }: WriterPlaces) {
  let staged = 0;
  const at = (path: RelativePath): Buffer => placeOf(inbox, path);

  /** What a rename or a delete did to the file that was there: its descriptor knows whether a name is left. */
  const noteFate = async (before: KnownFile | undefined, held: FileHandle | undefined): Promise<void> => {
    if (before === undefined) return;
    if (held === undefined) {
      // What was changed in place may have been on its way back from the archive just then.
      if (before.occurrences.length > 1) before.fate = 'perhaps';
    } else if ((await held.stat()).nlink === 0) before.fate = daemonDeletes ? 'perhaps' : 'destroyed';
  };

  return {
    ...{ at, known, noteFate },

    /** A new name outside. */
    stagingPlace(): string {
      staged += 1;
      return join(outside, `staged-${staged}`);
    },

    async stage(bytes: Uint8Array): Promise<string> {
      const file = this.stagingPlace();
      await writeFile(file, bytes);
      return file;
    },

    makeParent: (path: RelativePath) => mkdir(at(parentOf(path)), { recursive: true }),

    /** Renames a finished file in. */
    async replace(staging: string | Buffer, file: NewFile): Promise<void> {
      const held = await openIfThere(at(file.path));
      try {
        await rename(staging, at(file.path));
        await noteFate(known.at(file.path), held);
        known.add(file);
      } finally {
        await held?.close();
      }
    },
  };
}

const absent = (error: unknown): undefined => {
  if (codeOf(error) === 'ENOENT') return undefined;
  throw error;
};

export const openIfThere = (file: Buffer, flags: number = constants.O_RDONLY): Promise<FileHandle | undefined> =>
  open(file, flags | constants.O_NOFOLLOW).catch(absent);

export const statsIfThere = (file: Buffer) => lstat(file).catch(absent);

/** Whether the file was there. */
export const ifThere = async (act: Promise<unknown>): Promise<boolean> =>
  act.then(
    () => true,
    (error: unknown) => absent(error) ?? false,
  );
