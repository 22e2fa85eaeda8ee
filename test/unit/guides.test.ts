import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { exitCode } from '../../src/service/errors.ts';
import { anchorOf, commandLinesOf, guideFiles, readGuide, root, twins } from '../support/guides.ts';
import { runCommand } from '../support/run-command.ts';

/** What the guides name exists: whoever follows them never meets a command, a key or a page that is not there. */

const source = (file: string) => readFileSync(root + file, 'utf8');
const quotedIn = (text: string) => [...text.matchAll(/'([a-z_-]+)'/g)].map(([, word = '']) => word);

const eventNames = quotedIn(/export type EventName =([^;]*);/.exec(source('src/model.ts'))?.[1] ?? '');
const alarmNames = [...source('infra/src/alarms.ts').matchAll(/\bid: '([a-z-]+)'/g)].map(([, name = '']) => name);

describe.each(guideFiles)('%s', (file) => {
  const guide = readGuide(file);

  test('links to pages and headings that are there', () => {
    for (const link of guide.links.filter((target) => !/^[a-z]+:/.test(target))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      expect(existsSync(root + target), link).toBe(true);
      if (anchor === undefined) continue;
      const anchors = readGuide(target).headings.map(({ text }) => anchorOf(text));
      expect(anchors, link).toContain(anchor);
    }
  });

  test('names commands that the program has, with options that they take', { timeout: 30_000 }, async () => {
    for (const line of commandLinesOf(guide)) {
      for (const [, command = '', rest = ''] of line.matchAll(
        /(?<![\w/-])(?<!-u )dropledger ([a-z][a-z-]*)([^|;&]*)/g,
      )) {
        const { code, help } = await helpOf(command, rest);
        expect(code, line).toBe(0);
        for (const [option] of rest.matchAll(/(?<=\s)--[a-z-]+/g)) expect(help, line).toContain(`${option} `);
      }
    }
  });

  test('names keys that the configuration and the settings have', () => {
    const settings = source('infra/src/settings.ts');
    for (const code of guide.inline) {
      const [, section = '', key = ''] = /^([a-zA-Z\d]+)\.([a-zA-Z]+)\b/.exec(code) ?? [];
      const keys = Object.entries(configSchema.shape).find(([name]) => name === section)?.[1];
      if (keys !== undefined) expect(keysOf(keys), code).toContain(key);
      else if (new RegExp(`readonly ${section}\\??:`).test(settings)) {
        expect(settings, code).toMatch(new RegExp(`readonly ${key}\\??:`));
      }
    }
  });

  test('shows configurations that the program takes', () => {
    for (const { text } of guide.blocks.filter(({ language }) => language === 'json')) {
      expect(() => parseConfig(file, text)).not.toThrow();
    }
  });

  test('names npm scripts and prepared questions that are there', () => {
    const scripts = ['package.json', 'infra/package.json'].flatMap((at) => Object.keys(JSON.parse(source(at)).scripts));
    const questions = source('infra/src/trail-queries.ts');
    for (const line of commandLinesOf(guide)) {
      for (const [, script = ''] of line.matchAll(/npm run ([a-z:]+)/g)) expect(scripts, line).toContain(script);
      for (const [, name = ''] of line.matchAll(/EXECUTE ([a-z_]+)/g))
        expect(questions, line).toContain(`    ${name}: {`);
    }
  });

  test('lists events and alarms completely, and none that is not there', () => {
    const firstColumn = (header: RegExp) =>
      guide.tables
        .filter(([head]) => header.test(head?.[0] ?? ''))
        .flatMap(([, ...rows]) => rows.flatMap(([cell = '']) => cell.replaceAll('`', '').split(', ')));
    const events = firstColumn(/^(event|evento)$/);
    const alarms = firstColumn(/^(alarm|alarma)$/);
    expect(events.toSorted()).toEqual(events.length === 0 ? [] : eventNames.toSorted());
    expect(alarms.toSorted()).toEqual(alarms.length === 0 ? [] : alarmNames.toSorted());
  });

  test('lists exit codes as they are', () => {
    const table = guide.tables.find(([head]) => /^(exit code|código de salida)$/.test(head?.[0] ?? ''));
    if (table === undefined) return expect(file).not.toMatch(/training|capacitacion/);
    expect(table.slice(1).map(([code]) => Number(code))).toEqual(Object.values(exitCode).toSorted((a, b) => a - b));
  });
});

test('somewhere events and alarms are listed', () => {
  expect(eventNames).toContain('uploaded');
  const headers = guideFiles.flatMap((file) => readGuide(file).tables.map(([head]) => head?.[0]));
  for (const header of ['event', 'evento', 'alarm', 'alarma']) expect(headers).toContain(header);
});

describe.each(Object.entries(twins))('%s and %s say the same', (english, spanish) => {
  const [one, other] = [readGuide(english), readGuide(spanish)];

  test('under as many headings', () => {
    expect(other.headings.map(({ level }) => level)).toEqual(one.headings.map(({ level }) => level));
  });

  test('in tables of the same size', () => {
    const sizes = ({ tables }: typeof one) => tables.map((rows) => rows.length);
    expect(sizes(other)).toEqual(sizes(one));
  });

  test('with the same blocks of code', () => {
    const languages = ({ blocks }: typeof one) => blocks.map(({ language }) => language);
    expect(languages(other)).toEqual(languages(one));
  });

  test('about the same keys, commands and rights', () => {
    const names = ({ inline }: typeof one) =>
      [
        ...new Set(
          inline.filter((code) => /^([a-zA-Z\d]+\.[a-zA-Z]+|dropledger [a-z]+|[a-z\d-]+:[A-Z]\w+)$/.test(code)),
        ),
      ].toSorted();
    expect(names(other)).toEqual(names(one));
  });

  test('each links to the other', () => {
    const points = (from: string, to: string) => readGuide(from).links.some((link) => join(dirname(from), link) === to);
    expect([points(english, spanish), points(spanish, english)]).toEqual([true, true]);
  });
});

/** Of the command; of a group (`ledger list`), that of the command in it which the line goes on with. */
async function helpOf(command: string, rest: string): Promise<{ code: number; help: string }> {
  const own = await runCommand([command, '--help']);
  const [, inGroup] = /^ ?([a-z][a-z-]*)/.exec(rest) ?? [];
  const isGroup = own.stdout.startsWith(`Usage: dropledger ${command} COMMAND`) && inGroup !== undefined;
  const { code, stdout } = isGroup ? await runCommand([command, inGroup, '--help']) : own;
  return { code, help: stdout };
}

/** Keys of a section, which may have a default around it. */
function keysOf(section: unknown): string[] {
  const { shape, unwrap } = section as { shape?: object; unwrap?: () => unknown };
  if (shape !== undefined) return Object.keys(shape);
  return unwrap === undefined ? [] : keysOf(unwrap.call(section));
}
