import { type Folder, identityAt } from '../../drop-folder/folder.ts';
import { hashFile } from '../../drop-folder/hash-file.ts';
import { createIgnoreName } from '../../drop-folder/ignore.ts';
import { createFileOpener } from '../../drop-folder/open-file.ts';
import { scan } from '../../drop-folder/scan.ts';
import type { Journal } from '../../journal/journal.ts';
import type { FileIdentity, RelativePath } from '../../model.ts';

export interface RecogniseFilesOptions {
  readonly folder: Folder;
  readonly ignore: readonly string[];
  readonly journal: Pick<Journal, 'files' | 'storedObjects' | 'relearn'>;
  readonly bucket: string;
  /** Whether any object of the path counts, or the latest alone: as for duplicates. */
  readonly among: 'any' | 'latest';
  readonly state: 'kept' | 'recorded';
  onFile(): void;
}

export interface RecognisedFiles {
  /** The journal knew them all the time. */
  readonly known: number;
  readonly recognised: number;
  /** New, changed, or not to be read: the daemon's. */
  readonly left: number;
}

/** Tells the journal of each file in the folder whose bytes are stored and recorded. Reads no file of another size. */
export async function recogniseFiles(options: RecogniseFilesOptions): Promise<RecognisedFiles> {
  const { folder, journal, bucket, among, state, onFile } = options;
  const counts = { known: 0, recognised: 0, left: 0 };
  const open = createFileOpener(folder, async () => '');
  const { signal } = new AbortController();

  /** Of this very file, before and after it was read; undefined where it cannot be told now. */
  const hashAt = async (path: RelativePath, identity: FileIdentity): Promise<string | undefined> => {
    const opened = await open({ path, identity, detectedAt: new Date() });
    if (opened.kind !== 'open') return undefined;
    try {
      const sha256 = await hashFile(opened.file, signal);
      return (await opened.file.unchanged()) ? sha256 : undefined;
    } finally {
      await opened.file.close();
    }
  };

  const isRecognised = async (path: RelativePath): Promise<boolean> => {
    const identity = await identityAt(folder, path).catch(() => undefined);
    if (identity === undefined || !journal.storedObjects.knowsSize(path, identity.size)) return false;
    const sha256 = await hashAt(path, identity).catch(() => undefined);
    if (sha256 === undefined) return false;
    const object = journal.storedObjects.duplicateOf({ bucket, path, size: identity.size, sha256 }, among);
    if (object === undefined) return false;
    await journal.relearn.file({ path, identity, ledgerId: object.ledgerId }, state, new Date());
    return true;
  };

  const consider = async (path: RelativePath): Promise<void> => {
    if (journal.files.known(path) !== undefined) counts.known += 1;
    else if (await isRecognised(path)) counts.recognised += 1;
    else counts.left += 1;
    onFile();
  };

  const ignore = createIgnoreName(options.ignore);
  await scan({ folder, ignore, onFile: consider, onUnreadable: () => undefined }, signal);
  return counts;
}
