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
      try {
        await writeFile(entry, text, { flag: 'wx', mode: 0o640 });
        return true;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
        return (await readFile(entry, 'utf8').catch(() => '')) === text; // a crash left it here
      }
    },
    remove: (name) => removeEntry(folder, nameFor(name)),
  };
}
