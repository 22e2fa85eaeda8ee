/** dropledger(8) and dropledger.json(5), from the command table and the schema of the configuration. */
import { exitCodes } from '../src/cli/command-line.ts';
import { configJsonSchema } from '../src/config/load.ts';
import { type CommandPage, type GroupPage, leaves } from './command-table.ts';
import { bold, escaped, heading, italic, item, page, prose, subheading } from './roff.ts';

const files: readonly (readonly [string, string])[] = [
  ['/etc/dropledger/config.json', 'The configuration, dropledger.json(5). An upgrade never touches it.'],
  ['/etc/dropledger/NAME.json', 'The configuration of dropledger@NAME.service.'],
  [
    '/etc/dropledger/environment',
    'Variables for the service, such as AWS_PROFILE=, HTTPS_PROXY=; it need not be there.',
  ],
  ['/srv/dropledger/inbox', 'The drop folder; people who drop files belong to the group dropledger-drop.'],
  [
    '/srv/dropledger/archive, /srv/dropledger/quarantine',
    'Where files go once they are recorded, and where those go that cannot be uploaded.',
  ],
  ['/var/lib/dropledger', 'The journal, and ~/.aws of the service. No other user can read it.'],
  ['/var/cache/dropledger', 'The program as it was compiled at its first start. It may be removed at any time.'],
  ['/usr/share/dropledger', 'An example of every key, the schema for editors, the drop-in for shared folders.'],
];

export function commandManual(table: readonly (CommandPage | GroupPage)[], version: string): string {
  return [
    page('dropledger', 8, version, 'uploads dropped files to S3 and records them in a ledger'),
    heading('SYNOPSIS'),
    `.B dropledger\n.I COMMAND\n[\\fIoptions\\fR]\n`,
    heading('DESCRIPTION'),
    prose(
      'Files dropped into a folder get into S3, for certain, and a ledger in Postgres proves it. The service runs as dropledger.service; everything else is a command of this program.',
    ),
    heading('COMMANDS'),
    leaves(table).map(commandSection).join(''),
    heading('SERVICE'),
    prose(`systemctl enable --now dropledger starts the service. systemctl reload reads the configuration again. What it says is in the journal: journalctl -u dropledger; -p err shows what needs a person, -p warning what is being retried.

Further services of the same kind, with a drop folder each: systemctl enable --now dropledger@NAME reads /etc/dropledger/NAME.json, keeps its state in /var/lib/dropledger-NAME, and is NAME in the ledger's column instance.`),
    heading('EXIT STATUS'),
    exitCodes.map(([code, meaning]) => item(bold(code), escaped(meaning))).join(''),
    heading('FILES'),
    files.map(([path, meaning]) => item(italic(path), escaped(meaning))).join(''),
    heading('SEE ALSO'),
    `.BR dropledger.json (5),\n.BR systemctl (1),\n.BR journalctl (1)\n`,
  ].join('');
}

function commandSection({ name, summary, command }: CommandPage): string {
  const options = Object.entries(command.options).map(([option, { value, describe, default: preset }]) =>
    item(
      value === undefined ? bold(`--${option}`) : `${bold(`--${option}`)} ${italic(value)}`,
      escaped(preset === undefined ? describe : `${describe} (default ${preset})`),
    ),
  );
  const title = [name, command.operands?.usage].filter((word) => word !== undefined).join(' ');
  const text = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return `${subheading(title)}${prose(text)}${prose(command.details ?? '')}${options.join('')}`;
}

/** A key's part of the JSON schema, as zod writes it. */
interface Key {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Key>>;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
}

export function configManual(example: string, version: string): string {
  const { properties = {} } = configJsonSchema() as Key;
  const sections = Object.entries(properties).filter(([, { properties: keys }]) => keys !== undefined);
  return [
    page('dropledger.json', 5, version, 'configuration of dropledger'),
    heading('SYNOPSIS'),
    `.I /etc/dropledger/config.json\n`,
    heading('DESCRIPTION'),
    prose(`JSON. An unknown key is an error, and so is a wrong value; all of them are said at once: dropledger check.

No secret stands here. Credentials of AWS come from where its tools find them (instance role, SSO, ~/.aws of the service in /var/lib/dropledger); a password of the database is a file of its own.`),
    heading('KEYS'),
    sections.map(([name, section]) => `${subheading(name)}${keysOf(name, section)}`).join(''),
    heading('EXAMPLE'),
    prose('The least that must be told:'),
    prose(example.replace(/^/gm, '  ')),
    heading('SEE ALSO'),
    `.BR dropledger (8),\n.I /usr/share/dropledger/config.example.json\n(every key)\n`,
  ].join('');
}

function keysOf(section: string, { properties = {}, required = [] }: Key): string {
  return Object.entries(properties)
    .map(([name, key]) => {
      const facts = [kindOf(key), required.includes(name) && key.default === undefined ? 'required' : presetOf(key)];
      const said = facts.filter((fact) => fact !== '').join(', ');
      return item(`${bold(`${section}.${name}`)} (${escaped(said)})`, escaped(key.description ?? ''));
    })
    .join('');
}

const kindOf = ({ enum: values, type = '' }: Key): string => values?.map((value) => `"${value}"`).join(' | ') ?? type;
const presetOf = ({ default: preset }: Key): string =>
  preset === undefined ? '' : `default ${Array.isArray(preset) ? preset.join(' ') : JSON.stringify(preset)}`;
