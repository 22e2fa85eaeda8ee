import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { instanceUnit } from '../../../packaging/instance-unit.ts';
import { serviceSettings } from '../../../src/cli/checks/service-unit.ts';
import { commands } from '../../../src/cli/command-line.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** What the packages bring beside the program, as their generator prints it: vitest has no import.meta.resolve, Node has. */
const run = promisify(execFile);
const generated = async (expression: string): Promise<string> => {
  const script = `
    const { commandTable } = await import('./packaging/command-table.ts');
    const completion = await import('./packaging/completion.ts');
    const manual = await import('./packaging/manual.ts');
    const table = await commandTable();
    process.stdout.write(${expression});`;
  return (await run(process.execPath, ['--input-type=module', '-e', script])).stdout;
};

describe('bash', () => {
  let script: string;
  beforeAll(async () => {
    script = await generated('completion.bashCompletion(table)');
  });
  /** What TAB offers after these words. */
  const offered = async (...words: string[]): Promise<string[]> => {
    await using folder = await tempFolder();
    await writeFile(folder.at('completion'), script);
    await writeFile(folder.at('some file.json'), '');
    const { stdout } = await run(
      'bash',
      [
        '-c',
        `compopt() { :; }; . ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dropledger; printf "%s\\n" "\${COMPREPLY[@]}"`,
        'bash',
        'dropledger',
        ...words,
      ],
      { cwd: folder.path },
    );
    return stdout.split('\n').filter((line) => line !== '' && line !== 'completion');
  };

  test('offers commands, their options, commands of groups, and files where a file is wanted', async () => {
    expect(await offered('')).toEqual(expect.arrayContaining(commands.map(({ name }) => name)));
    expect(await offered('mig')).toEqual(['migrate']);
    expect(await offered('check', '--')).toEqual(['--config', '--json', '--help']);
    expect(await offered('ledger', 'ver')).toEqual(['verify-chain']);
    expect(await offered('ledger', 'list', '--sh')).toEqual(['--sha256']);
    expect(await offered('check', '--config', 'some')).toEqual(['some file.json']);
    expect(await offered('ledger', 'list', '--since', '')).toEqual([]);
  });
});

test('the manual tells of every command, option and key', async () => {
  const schema = JSON.parse(readFileSync(new URL('../../../config.schema.json', import.meta.url), 'utf8'));
  const keys = Object.keys(schema.properties.dropFolder.properties).map((key) => `dropFolder.${key}`);
  const pages = [
    {
      page: await generated("manual.commandManual(table, '1.0')"),
      told: ['verify-chain', '--dry-run', 'Exit code 0 only'],
    },
    { page: await generated("manual.configManual('{}', '1.0')"), told: [...keys, 'ledger.passwordFile'] },
  ];
  for (const { page, told } of pages) {
    const plain = page.replaceAll('\\-', '-');
    for (const words of told) expect(plain).toContain(words);
    expect(page).not.toMatch(/undefined|\[object/);
  }
});

test('the unit of instances differs in what is an instance’s own, and in nothing else', () => {
  const unit = readFileSync(new URL('../../../systemd/dropledger.service', import.meta.url), 'utf8');
  const [main, instance] = [serviceSettings(unit), serviceSettings(instanceUnit(unit))];
  const differing = instance.filter(([name, value]) => !main.some(([n, v]) => n === name && v === value));
  expect(differing.map(([name, value]) => `${name}=${value}`)).toEqual([
    'ExecStart=/usr/bin/dropledger run --config /etc/dropledger/%i.json',
    'StateDirectory=dropledger-%i',
    'CacheDirectory=dropledger-%i',
    'RuntimeDirectory=dropledger-%i',
    'Environment=HOME=/var/lib/dropledger-%i',
    'Environment=DROPLEDGER_INSTANCE=%i',
    'EnvironmentFile=-/etc/dropledger/%i.environment',
    'SyslogIdentifier=dropledger-%i',
  ]);
  expect(() => instanceUnit(unit.replace('StateDirectory=dropledger\n', ''))).toThrow(/StateDirectory/);
});
