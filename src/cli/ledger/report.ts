import { open, rename } from 'node:fs/promises';
import { exitCode, LocalFailure, messageOf, UsageError } from '../../service/errors.ts';
import { type Command, textOf } from '../command.ts';
import { writing } from '../terminal/output.ts';
import { printable } from '../terminal/text.ts';
import { filterOptions, readFilter } from './filter-options.ts';
import { openReader, readerOptions } from './reader-login.ts';
import { reportPage } from './report/page.ts';

const { since, until, path, host } = filterOptions;
const defaultSince = '30d';
const shown = { slowest: 10, failures: 20 };

export const report: Command = {
  details: `The page needs no network and no other file: totals, files and bytes by day, sizes, speed, ledger lag, failures with
their reasons, slowest uploads. It follows the reader's light or dark setting, fits a phone, and prints.`,
  options: {
    html: { value: 'FILE', describe: 'the page to write; - for stdout' },
    since: { ...since, default: defaultSince },
    ...{ until, path, host },
    ...readerOptions,
  },

  async run(given, around) {
    const file = textOf(given, 'html');
    if (file === undefined) throw new UsageError('--html FILE is missing', { hint: 'dropledger ledger report --help' });
    const filter = readFilter(given);
    await using login = await openReader(given, around);
    const { reader, config } = login;
    const [stats, sizes, slowest, failures] = [
      await reader.stats(filter),
      await reader.sizes(filter),
      await reader.slowest(filter, shown.slowest),
      await reader.list({ ...filter, status: 'failed' }, shown.failures),
    ];
    const page = reportPage({
      ...{ stats, sizes, slowest, failures: failures.reverse() },
      period: periodOf(textOf(given, 'since') ?? defaultSince, textOf(given, 'until')),
      madeAt: new Date(),
      ledger: `${config.ledger.host}/${config.ledger.database}`,
    });
    return await writing(around, async (write) => {
      if (file === '-') await write(page);
      else {
        await writeWhole(file, page);
        await write(`${printable(file)}: ${Math.round(page.length / 1024)} KiB\n`);
      }
      return exitCode.fine;
    });
  },
};

function periodOf(since: string, until: string | undefined): string {
  const days = /^(\d+)d$/.exec(since)?.[1];
  const from = days === undefined ? `since ${since}` : `the last ${days} days`;
  return until === undefined ? from : `${from}, until ${until}`;
}

/** Never half a page under that name. */
async function writeWhole(file: string, text: string): Promise<void> {
  const part = `${file}.part`;
  try {
    {
      await using handle = await open(part, 'w');
      await handle.writeFile(text);
      await handle.sync();
    }
    await rename(part, file);
  } catch (cause) {
    throw new LocalFailure(`${file} can't be written: ${messageOf(cause)}`, { cause });
  }
}
