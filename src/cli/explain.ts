import { ask } from '../control/client.ts';
import type { ExplainedState, Explanation } from '../control/protocol.ts';
import { exitCode } from '../service/errors.ts';
import { type Command, configOption } from './command.ts';
import { daemonOf, pathBelowDropFolder } from './status/control.ts';
import { type Looks, looksOf, type Style, writing } from './terminal/output.ts';
import { bytesText, countText, printable, timeText } from './terminal/text.ts';

export const explain: Command = {
  details: `FILE: a file in the drop folder, the archive or the quarantine, or a path relative to the drop folder; bytes that are
not UTF-8 as \\xNN, as the journal writes them. Asks the running daemon.`,
  operands: { usage: 'FILE', least: 1, most: 1 },
  options: { ...configOption, json: { describe: 'print it as one JSON object' } },

  async run(given, around, [file = '']) {
    const { config, socket } = await daemonOf(given, around);
    const path = await pathBelowDropFolder(file, config);
    return await writing(around, async (write) => {
      for await (const answer of ask(socket, { command: 'explain', path })) {
        if (!('explanation' in answer)) continue;
        const { explanation } = answer;
        const asJson = given['json'] === true;
        await write(
          asJson ? `${JSON.stringify(explanation)}\n` : describe(explanation, looksOf(around.stdout, around.env)),
        );
      }
      return exitCode.fine;
    });
  },
};

const states: Readonly<Record<ExplainedState, readonly [text: string, style: Style]>> = {
  ignored: ['ignored', 'yellow'],
  settling: ['coming to rest', 'cyan'],
  queued: ['queued', 'cyan'],
  uploading: ['uploading', 'cyan'],
  'waiting-for-ledger': ['uploaded, waiting for the ledger', 'yellow'],
  recorded: ['uploaded and recorded, about to leave', 'green'],
  kept: ['uploaded and recorded', 'green'],
  'not-movable': ['uploaded and recorded, but not movable', 'yellow'],
  uploaded: ['uploaded and recorded', 'green'],
  duplicate: ['a duplicate', 'green'],
  quarantined: ['quarantined', 'red'],
  'set-aside': ['uploaded, but refused by the ledger', 'red'],
  gone: ['gone', 'yellow'],
  special: ['not a regular file', 'yellow'],
  'not-seen': ['not seen yet', 'cyan'],
  'never-seen': ['never seen', 'yellow'],
};

const labels: Readonly<Record<string, string>> = {
  ledgerId: 'ledger id',
  duplicateOf: 'duplicate of',
  detectedAt: 'seen',
  bytes: 'size',
  bytesStored: 'in S3 so far',
  failedAttempts: 'failed attempts',
  nextTryAt: 'next try',
  in: 'in quarantine as',
};

function describe({ path, state, facts, notes }: Explanation, { paint }: Looks): string {
  const [text, style] = states[state] ?? [state, 'bold'];
  const rows = Object.entries(facts).map(([name, value]) => [labels[name] ?? name, valueText(name, value)] as const);
  const width = Math.max(0, ...rows.map(([label]) => label.length));
  return [
    `${paint('bold', printable(path))}: ${paint(style, text)}`,
    ...notes.map((note) => `  ${printable(note)}`),
    ...(rows.length === 0 ? [] : ['']),
    ...rows.map(([label, value]) => `  ${paint('dim', label.padEnd(width))}  ${printable(value)}`),
    '',
  ].join('\n');
}

function valueText(name: string, value: string | number): string {
  if (typeof value === 'string') return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? timeText(value) : value;
  return name.startsWith('bytes') ? `${countText(value)} bytes (${bytesText(value)})` : countText(value);
}
