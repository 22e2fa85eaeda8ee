/** The program's own table of commands, with everything loaded: what the manual and the completions are made from. */

import type { Command, CommandGroup } from '../src/cli/command.ts';
import { commands } from '../src/cli/command-line.ts';

export interface CommandPage {
  /** As it is typed: `ledger list`. */
  readonly name: string;
  readonly summary: string;
  readonly command: Command;
}

export interface GroupPage {
  readonly name: string;
  readonly summary: string;
  readonly group: CommandGroup;
  readonly pages: readonly CommandPage[];
}

export async function commandTable(): Promise<readonly (CommandPage | GroupPage)[]> {
  return Promise.all(
    commands.map(async ({ name, summary, load }) => {
      const loaded = await load();
      if (!('commands' in loaded)) return { name, summary, command: loaded };
      const pages = loaded.commands.map(async (entry): Promise<CommandPage> => {
        const command = await entry.load();
        if ('commands' in command) throw new TypeError('groups have one level');
        return { name: `${name} ${entry.name}`, summary: entry.summary, command };
      });
      return { name, summary, group: loaded, pages: await Promise.all(pages) };
    }),
  );
}

/** Every command that does something, groups unfolded. */
export const leaves = (table: readonly (CommandPage | GroupPage)[]): CommandPage[] =>
  table.flatMap((page) => ('pages' in page ? page.pages : [page]));
