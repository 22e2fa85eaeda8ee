import type { DatabaseSync } from 'node:sqlite';
import { v7 as uuidv7 } from 'uuid';
import type { Disposition, FileIdentity, RelativePath } from '../model.ts';
import { bytesOf } from '../service/path-bytes.ts';
import { type Commit, commitInPieces } from './group-commit.ts';
import { identityText } from './identity-text.ts';
import type { StoredContent, StoredObjectsJournal } from './stored-objects.ts';

/** A file of the drop folder whose content turned out to be stored and recorded. */
export interface RecognisedFile {
  readonly path: RelativePath;
  readonly identity: FileIdentity;
  readonly ledgerId: string;
}

export type Relearn = ReturnType<typeof createRelearning>;

/** Brings back what a lost journal knew, from what the ledger tells. What the journal knows already stays as it is. */
export function createRelearning(database: DatabaseSync, commit: Commit, storedObjects: StoredObjectsJournal) {
  const knows = database.prepare('SELECT 1 FROM stored_objects WHERE path = ? AND size = ? AND ledger_id = ? LIMIT 1');
  const adopt = database.prepare(`
    INSERT OR IGNORE INTO files (path, file_id, identity, size, state, detected_at, disposition)
    VALUES (?, ?, ?, ?, ?, ?, ?)`);

  return {
    /** Objects, oldest first; resolves with how many were news. */
    stored(objects: readonly (StoredContent & { readonly storedAt: Date })[]): Promise<number> {
      return commitInPieces(commit, objects, ({ storedAt, ...object }) => {
        if (knows.get(bytesOf(object.path), object.size, object.ledgerId) !== undefined) return 0;
        storedObjects.add(object, storedAt);
        return 1;
      });
    },

    /** `kept`: it stays in the folder; `recorded`: what is to become of it is due. */
    file({ path, identity, ledgerId }: RecognisedFile, state: 'kept' | 'recorded', at: Date): Promise<void> {
      const disposition = JSON.stringify({ kind: 'after-upload', ledgerId } satisfies Disposition);
      const { size } = identity;
      return commit(
        () => void adopt.run(bytesOf(path), uuidv7(), identityText(identity), size, state, at.getTime(), disposition),
      );
    },
  };
}
