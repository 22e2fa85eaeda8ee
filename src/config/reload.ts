import type { Config } from './schema.ts';

/** Keys that a running daemon takes up at a reload; all others need a restart. */
const reloadable = new Set([
  'log.level',
  'dropFolder.rescanSeconds',
  'dropFolder.archiveKeepDays',
  'dropFolder.removeEmptyFoldersAfterHours',
]);

/** What a reload changes, by key: what takes effect now, and what only a restart brings in. */
export function changesBetween(before: Config, after: Config): { applied: string[]; needRestart: string[] } {
  const [old, fresh] = [leavesOf(before), leavesOf(after)];
  const changed = [...new Set([...old.keys(), ...fresh.keys()])]
    .filter((key) => old.get(key) !== fresh.get(key))
    .sort();
  return {
    applied: changed.filter((key) => reloadable.has(key)),
    needRestart: changed.filter((key) => !reloadable.has(key)),
  };
}

/** `section.key` → value, as text. */
function leavesOf(config: Config): Map<string, string> {
  const leaves = new Map<string, string>();
  for (const [section, keys] of Object.entries(config)) {
    if (typeof keys !== 'object') continue; // $schema
    for (const [key, value] of Object.entries(keys)) leaves.set(`${section}.${key}`, JSON.stringify(value));
  }
  return leaves;
}
