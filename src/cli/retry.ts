import { ask } from '../control/client.ts';
import type { PutBackResult, Question } from '../control/protocol.ts';
import { exitCode, UsageError } from '../service/errors.ts';
import { type Command, configOption } from './command.ts';
import { daemonOf, pathBelowDropFolder } from './status/control.ts';
import { type Looks, looksOf, type Write, writing } from './terminal/output.ts';
import { countText, printable } from './terminal/text.ts';

export const retry: Command = {
  details: `Puts files back from quarantine into the drop folder, where the running daemon takes them for new ones. FILE is the path
that the file had in the drop folder, or its place in the quarantine. Nothing is ever replaced: where a file of that name
is in the drop folder, the quarantined one stays. Mend first what the reason says: dropledger explain FILE.
Exit code 0 only if every file was put back.`,
  operands: { usage: '[FILE…]', least: 0, most: Number.POSITIVE_INFINITY },
  options: {
    ...configOption,
    all: { describe: 'every file in quarantine' },
    json: { describe: 'print a JSON object a line for each file' },
  },

  async run(given, around, files) {
    const isAll = given['all'] === true;
    if (isAll === files.length > 0) throw new UsageError('name files, or --all', { hint: 'dropledger retry --help' });
    const { config, socket } = await daemonOf(given, around);
    const questions: Question[] = isAll ? [{ command: 'retry-all' }] : [];
    for (const file of files) questions.push({ command: 'retry', path: await pathBelowDropFolder(file, config) });

    return await writing(around, async (write) => {
      const total = { files: 0, left: 0 };
      const say = sayer(write, given['json'] === true, looksOf(around.stdout, around.env));
      for (const question of questions) {
        const { files: putBack, left } = await retryOne(socket, question, say);
        total.files += putBack;
        total.left += left;
        if ('path' in question && putBack + left === 0) {
          await say({ path: question.path, left: 'it is not in quarantine' });
          total.left += 1;
        }
      }
      if (given['json'] !== true) await write(summary(total));
      return total.left === 0 ? exitCode.fine : exitCode.failed;
    });
  },
};

type Say = (result: PutBackResult) => Promise<void>;

async function retryOne(socket: string, question: Question, say: Say): Promise<{ files: number; left: number }> {
  for await (const answer of ask(socket, question)) {
    if (!('putBack' in answer)) continue;
    if (answer.done) return answer.putBack;
    await say(answer.putBack);
  }
  return { files: 0, left: 0 };
}

const sayer =
  (write: Write, asJson: boolean, { paint }: Looks): Say =>
  (result) => {
    if (asJson) return write(`${JSON.stringify(result)}\n`);
    const { path, left } = result;
    return left === undefined
      ? write(`${paint('green', '✓')} ${printable(path)}\n`)
      : write(`${paint('red', '✗')} ${printable(path)}: ${printable(left)}\n`);
  };

function summary({ files, left }: { files: number; left: number }): string {
  if (files + left === 0) return 'The quarantine is empty.\n';
  const rest = left === 0 ? '' : `, ${countText(left)} not`;
  return `${countText(files)} put back into the drop folder${rest}.\n`;
}
