import { readFile, writeFile } from 'node:fs/promises';
import type { Disposition, RelativePath } from '../model.ts';
import { codeOf } from '../service/errors.ts';
import { textOf } from '../service/path-bytes.ts';
import type { FolderHandle } from './folder.ts';
import { type Move, removeEntry } from './move.ts';

export const reasonSuffix = '.reason.json';

/** The `.reason.json` beside a quarantined file: why it is there, what mends it, and its row in the ledger. */
export function reasonCompanion(
  folder: FolderHandle,
  path: RelativePath,
  { reason, hint, ledgerId }: Extract<Disposition, { kind: 'quarantine' }>,
): NonNullable<Move['companion']> {
  const nameFor = (name: RelativePath) => `${name}${reasonSuffix}` as RelativePath;
  const text = `${JSON.stringify({ path: textOf(path), reason, hint, ledgerId }, null, 2)}\n`;
  return {
    async write(name) {
      const entry = folder.entry(nameFor(name));
      if (!(await isFree(entry, text))) return false;
      await writeFile(entry, text, { mode: 0o640, flush: true });
      return true;
    },
    remove: (name) => removeEntry(folder, nameFor(name)),
  };
}

/** Whether nothing is there, or what a crash or a full disk left of this very text. */
async function isFree(entry: Buffer, text: string): Promise<boolean> {
  try {
    return text.startsWith(await readFile(entry, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    if (codeOf(error) === 'EISDIR') return false;
    throw error;
  }
}
