import { chown, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { instanceName, journalPath } from '../../config/places.ts';
import type { Config } from '../../config/schema.ts';
import { openFolder } from '../../drop-folder/folder.ts';
import { journalFiles, openJournal } from '../../journal/journal.ts';
import { rowHash } from '../../ledger/row-hash.ts';
import { exitCode } from '../../service/errors.ts';
import { lockFolder } from '../../service/folder-lock.ts';
import { type Command, textOf } from '../command.ts';
import { openReader, readerOptions } from '../ledger/reader-login.ts';
import { looksOf, type Paint, writing } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { countText } from '../terminal/text.ts';
import { learnRows } from './learn-rows.ts';
import { type RecognisedFiles, recogniseFiles } from './recognise-files.ts';

export const rebuild: Command = {
  details: `For a journal that was lost, was corrupt, or came from an old backup: without it, files that are still in the drop folder
would be stored and recorded once more, all of them where dropFolder.afterUpload is keep. Reads this host's rows, then
each file of the folder whose path and size they know; a file whose bytes are recorded is known again, and every other
one is left to the daemon. What the journal knows already stays as it is, so it may be run twice.

Run it while the daemon is stopped, as the user that the daemon runs as.`,
  options: {
    host: { value: 'NAME', describe: "whose rows: that host's", default: hostname() },
    instance: { value: 'NAME', describe: 'whose rows: that instance (DROPLEDGER_INSTANCE)' },
    ...readerOptions,
    json: { describe: 'print the result as one JSON object' },
  },

  async run(given, around) {
    await using login = await openReader(given, around);
    const { config, reader } = login;
    const folder = await openFolder(config.dropFolder.path, 'dropFolder.path');
    await using _lock = await lockFolder({ ...folder, path: config.dropFolder.path });
    const path = journalPath(config, around.env);
    const host = textOf(given, 'host') ?? hostname();
    const instance = textOf(given, 'instance') ?? instanceName(around.env);
    await using journal = openJournal({ path, rowHash, tookFilesBefore: true });
    await giveToOwnerOfFolder(path);

    const place = { host, instance, bucket: config.s3.bucket };
    const estimate = around.stderr.isTTY ? await reader.estimate({ host }) : 0;
    const learnt = await withProgress(around, ['rows', estimate], (advance) =>
      learnRows({ reader, journal, place, onRows: advance }),
    );
    const files = await withProgress(around, ['files', undefined], (advance) =>
      recogniseFiles({ ...searched(config), folder, journal, onFile: () => advance(1) }),
    );
    const result = { journal: path, host, instance, ...learnt, ...files };
    return await writing(around, async (write) => {
      const { paint } = looksOf(around.stdout, around.env);
      await write(given['json'] === true ? `${JSON.stringify(result)}\n` : describe(result, paint));
      return exitCode.fine;
    });
  },
};

const searched = ({ dropFolder, s3 }: Config) => ({
  ignore: dropFolder.ignore,
  bucket: s3.bucket,
  among: s3.onConflict === 'overwrite' ? ('latest' as const) : ('any' as const),
  state: dropFolder.afterUpload === 'keep' ? ('kept' as const) : ('recorded' as const),
});

async function withProgress<T>(
  around: Parameters<typeof showProgress>[0],
  [what, total]: readonly [string, number | undefined],
  work: (advance: (count: number) => void) => Promise<T>,
): Promise<T> {
  using progress = showProgress(around, what, total);
  return await work(progress.advance);
}

/** Made by root, the daemon could not open it. Whoever may not give it away runs as its owner. */
async function giveToOwnerOfFolder(path: string): Promise<void> {
  const { uid, gid } = await stat(dirname(path));
  for (const file of journalFiles(path)) await chown(file, uid, gid).catch(() => undefined);
}

function describe(
  { host, rows, objects, known, recognised, left }: { host: string; rows: number; objects: number } & RecognisedFiles,
  paint: Paint,
): string {
  const done = paint('green', '✓');
  if (rows === 0) {
    return `${paint('yellow', '!')} the ledger has no rows of ${host}: is that the name it was recorded under? (--host)\n`;
  }
  return `${done} ${countText(rows)} rows of ${host}: ${countText(objects)} objects learnt that the journal did not know
${done} ${countText(recognised)} files of the folder are known again, ${countText(known)} were known, ${countText(left)} are left to the daemon\n`;
}
