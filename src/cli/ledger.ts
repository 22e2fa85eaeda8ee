import type { CommandGroup } from './command.ts';

export const ledger: CommandGroup = {
  details: `Each logs in as ledger.readerUser, whose right to SELECT is enough. Times are UTC.`,
  commands: [
    {
      name: 'list',
      summary: 'the newest rows, as a table',
      load: async () => (await import('./ledger/list.ts')).list,
    },
    {
      name: 'show',
      summary: 'all that is known of one file',
      load: async () => (await import('./ledger/show.ts')).show,
    },
    {
      name: 'stats',
      summary: 'files and bytes by day, failures by reason, how fast it was',
      load: async () => (await import('./ledger/stats.ts')).stats,
    },
    {
      name: 'export',
      summary: 'every row as CSV or JSON lines, however many there are',
      load: async () => (await import('./ledger/export.ts')).exportRows,
    },
    {
      name: 'report',
      summary: 'one HTML page to send, print or keep',
      load: async () => (await import('./ledger/report.ts')).report,
    },
    {
      name: 'verify-chain',
      summary: 'prove that no row was altered, removed or slipped in',
      load: async () => (await import('./ledger/verify-chain.ts')).verifyChain,
    },
  ],
};
