import { cp, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Workplace } from '../support/daemon-workplace.ts';
import type { KnownFiles } from './known-files.ts';
import { type Plan, planText } from './plan.ts';

/** Leaves what is needed to look into a failure; the folder. */
export async function leaveBehind({
  plan,
  place,
  known,
  findings,
}: {
  readonly plan: Plan;
  readonly place: Workplace;
  readonly known: KnownFiles;
  readonly findings: readonly string[];
}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `dropledger-chaos-seed-${plan.seed}-`));
  const lines = (list: readonly unknown[]) => list.map((item) => JSON.stringify(item, regExpAsText)).join('\n');
  const texts: Record<string, string> = {
    'findings.txt': findings.join('\n'),
    'plan.txt': planText(plan),
    'daemons.log': place.daemons.map((daemon) => daemon.output()).join('\n'),
    'rows.json': lines(await place.rows()),
    'known-files.json': lines(known.all),
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
  await cp(String(place.config.journal?.path), join(folder, 'journal.db'));
  return folder;
}

const regExpAsText = (_key: string, value: unknown) => (value instanceof RegExp ? String(value) : value);
