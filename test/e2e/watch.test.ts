import { expect, test, vi } from 'vitest';
import { makeWorkplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';
import { runOnTerminal } from '../support/pseudo-terminal.ts';

/** `status --watch` on a real terminal, beside a real daemon. */
const postgres = usePostgres();

const alternateScreen = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const screenBefore = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const soon = (look: () => void) => vi.waitFor(look, { timeout: 45_000, interval: 50 });

test.each([
  ['q', 'q'],
  ['Ctrl-C', '\x03'],
])('it fills the terminal, follows its size, and %s leaves it as it was', async (_name, key) => {
  await using place = await makeWorkplace({ postgres });
  const daemon = await place.start();
  await using terminal = await runOnTerminal(['status', '--watch', '--config', place.configFile], place.env, 120, 40);
  const { text, screen } = terminal;
  await soon(() => expect(screen()[0]).toMatch(/^dropledger \S+ on .*● running/));
  expect(screen().length).toBeGreaterThan(8);

  await place.drop('one.txt', 'one');
  await daemon.waitFor('uploaded');
  await soon(() => expect(screen().join('\n')).toContain('1 uploaded (3 B)'));

  await terminal.resize(30, 6);
  await soon(() => expect(screen()).toHaveLength(6));
  expect(Math.max(...screen().map((line) => line.length))).toBe(30);
  await terminal.resize(100, 30);
  await soon(() => expect(screen().length).toBeGreaterThan(8));

  terminal.type(key);
  await terminal.closed;
  const [, modesBefore, drawn, code, modesAfter] =
    text().match(/^\S+\n(\S+)\n([\s\S]*)exit code (\d+)\n(\S+)\n$/) ?? [];
  expect(drawn?.startsWith(alternateScreen)).toBe(true);
  expect(drawn?.endsWith(screenBefore)).toBe(true);
  expect(code).toBe('0');
  expect(modesAfter).toBe(modesBefore);
});
