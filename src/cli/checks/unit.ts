import { dirname, relative, sep } from 'node:path';
import type { Config } from '../../config/schema.ts';

/** What the packaged unit lets the daemon write to. */
const writableInUnit = '/srv/dropledger';
const stateInUnit = '/var/lib/dropledger';

/**
 * The drop-in that the unit needs for this configuration; undefined where it needs none. Inbox, archive and quarantine
 * must share one entry of ReadWritePaths=: each entry is a mount of its own, and no rename leaves a mount.
 */
export function unitDropIn({ dropFolder }: Config, journalFile: string): string | undefined {
  const { path, archivePath, quarantinePath } = dropFolder;
  const common = [archivePath, quarantinePath]
    .filter((folder) => folder !== undefined)
    .reduce((parent, folder) => commonParent(parent, folder), path === writableInUnit ? path : dirname(path));
  const state = dirname(journalFile);
  const entries = [
    ...(isBelow(common, writableInUnit) ? [] : [common]),
    ...(isBelow(state, stateInUnit) || isBelow(state, common) ? [] : [state]),
  ];
  return entries.length === 0
    ? undefined
    : `[Service]\n${entries.map((entry) => `ReadWritePaths=${entry}`).join('\n')}\n`;
}

const isBelow = (path: string, folder: string): boolean => relative(folder, path).split(sep)[0] !== '..';

function commonParent(one: string, other: string): string {
  let parent = one;
  while (!isBelow(other, parent)) parent = dirname(parent);
  return parent;
}
