import type { CommandGroup } from './command.ts';

export const journal: CommandGroup = {
  details: `The journal is the daemon's local memory (journal.path): what waits, what was stored, which rows are still to be sent.`,
  commands: [
    {
      name: 'rebuild',
      summary: 'learn again from the ledger what was stored, after the journal was lost',
      load: async () => (await import('./journal/rebuild.ts')).rebuild,
    },
  ],
};
