import { exitCode } from '../../service/errors.ts';
import type { Command } from '../command.ts';
import { ledgerTable } from '../ledger-table.ts';
import { looksOf, writing } from '../terminal/output.ts';
import { countOf, filterOptions, readFilter } from './filter-options.ts';
import { openReader, readerOptions } from './reader-login.ts';

const defaultLimit = 50;

export const list: Command = {
  details: `Newest last. On a terminal the table is cut to fit; piped, or with --json, everything is whole.`,
  options: {
    ...filterOptions,
    limit: { value: 'COUNT', describe: 'how many rows at most', default: String(defaultLimit) },
    ...readerOptions,
    json: { describe: 'print them as a JSON array' },
  },

  async run(given, around) {
    const filter = readFilter(given);
    const limit = countOf(given, 'limit') ?? defaultLimit;
    await using login = await openReader(given, around);
    const rows = await login.reader.list(filter, limit);
    return await writing(around, async (write) => {
      if (given['json'] === true) await write(`${JSON.stringify(rows)}\n`);
      else if (rows.length === 0) await write('no such row\n');
      else await write(`${ledgerTable(rows, looksOf(around.stdout, around.env))}\n`);
      return exitCode.fine;
    });
  },
};
