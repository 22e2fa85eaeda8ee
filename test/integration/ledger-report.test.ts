import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLedger } from '../../src/ledger/ledger.ts';
import { createLedgerPool } from '../../src/ledger/pool.ts';
import type { LedgerRow } from '../../src/model.ts';
import { sampleChain } from '../support/ledger-rows.ts';
import { type TestDatabase, usePostgres } from '../support/postgres.ts';
import { writeReaderConfig } from '../support/reader-config.ts';
import { recordingLog } from '../support/recording-log.ts';
import { runCommand } from '../support/run-command.ts';

const program = chromiumProgram();
const missing = 'chromium is not on the PATH (Debian: apt-get install chromium)';
if (program === undefined && process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1') {
  test.skip(`the report in a browser: ${missing}`, () => {});
} else describe('the report in a browser', () => inBrowser(program));

function chromiumProgram(): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'chromium'))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const attack = '<img src=x onerror="document.title=\'hacked\'"></script><script>document.title="hacked"</script>.pdf';

const day = (index: number) => new Date(Date.now() - (index % 20) * 86_400_000).toISOString();

/** Twenty days, one of them without anything. */
const rows = (): LedgerRow[] =>
  sampleChain(400, (index) => {
    const failed = index % 40 === 1;
    const at = Date.parse(day(index));
    return {
      path: index === 1 ? attack : `dossier-${index % 7}/scan-${index}.pdf`,
      size_bytes: Math.round(1000 * 1.03 ** index),
      started_at: new Date(at - 400 - index * 10).toISOString(),
      uploaded_at: failed ? null : new Date(at - 300).toISOString(),
      ...(failed && { status: 'failed' as const, error: `the key "${index}" exists with other content` }),
      ...(index % 15 === 3 && { status: 'duplicate' as const, started_at: null, uploaded_at: null }),
    };
  }).filter((_, index) => index % 20 !== 6);

async function fill(database: TestDatabase): Promise<void> {
  await using pool = createLedgerPool({ ...database.writer, log: recordingLog() });
  await createLedger(pool).record(rows().map((row) => JSON.stringify(row)));
  await database.query('ALTER TABLE dropledger.uploads DISABLE TRIGGER append_only');
  await database.query(
    `UPDATE dropledger.uploads SET recorded_at = coalesce(uploaded_at + interval '0.3 s', started_at, now() - seq * interval '1 h')`,
  );
}

function inBrowser(executablePath: string | undefined): void {
  const postgres = usePostgres();
  let folder: string;
  let file: string;
  let browser: Browser;

  beforeAll(async () => {
    expect(executablePath, missing).toBeDefined();
    folder = await mkdtemp(join(tmpdir(), 'dropledger-report-'));
    file = join(folder, 'report.html');
    await using database = await postgres.createDatabase();
    await fill(database);
    await using config = await writeReaderConfig(database);
    expect(await runCommand(['ledger', 'report', '--html', file, '--config', config.file])).toMatchObject({
      code: 0,
      stderr: '',
    });
    // Whoever runs as root has to do without its sandbox; what it opens is our own page.
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox', '--disable-gpu'] });
  });

  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  interface Visit extends AsyncDisposable {
    readonly page: Page;
    /** Console errors, exceptions, and what it tried to load. */
    readonly complaints: string[];
  }

  async function visit(options: Parameters<Browser['newContext']>[0]): Promise<Visit> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => message.type() !== 'log' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => request.url() !== pathToFileURL(file).href && complaints.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
  }

  const screenshot = async (page: Page, name: string) => {
    const keepIn = process.env['DROPLEDGER_SCREENSHOTS'];
    if (keepIn !== undefined) await page.screenshot({ path: join(keepIn, `${name}.png`), fullPage: true });
  };

  test.each(['light', 'dark'] as const)(
    'it renders in %s, without a complaint and without the network',
    async (colorScheme) => {
      await using visited = await visit({ colorScheme, viewport: { width: 1100, height: 900 } });
      const { page, complaints } = visited;
      expect(await page.locator('canvas').count()).toBe(3);
      for (const canvas of await page.locator('canvas').all())
        expect(await canvas.evaluate(drawnShare)).toBeGreaterThan(0.02);
      await screenshot(page, colorScheme);
      expect(complaints).toEqual([]);
      expect(await page.title()).toBe('dropledger: the last 30 days');
      expect(await page.textContent('body')).toContain(attack);
    },
  );

  test('everything has a name that a screen reader can say', async () => {
    await using visited = await visit({});
    const { page } = visited;
    const images = await page.getByRole('img').evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')));
    expect(images).toEqual([
      expect.stringMatching(/^Files by day\. Most on \d{4}-\d\d-\d\d: [\d,]+ files\.$/),
      expect.stringMatching(/^Bytes by day\. Most on /),
      expect.stringMatching(/^Ledger lag\. The longest time, each day, /),
    ]);
    for (const name of ['Files by day', 'Sizes of uploaded files', 'Failures', 'Slowest uploads'])
      expect(await page.getByRole('region', { name }).count(), name).toBe(1);
    expect(await page.getByRole('columnheader').allTextContents()).toContain('Reason');
  });

  test('it fits a phone, follows its width, and prints on white', async () => {
    await using visited = await visit({ viewport: { width: 360, height: 740 }, colorScheme: 'dark', isMobile: true });
    const { page, complaints } = visited;
    const width = () => page.evaluate('document.documentElement.scrollWidth');
    expect(await width()).toBe(360);
    await screenshot(page, 'phone');
    const cutTables = `[...document.querySelectorAll('.scroll')]
      .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent.slice(0, 60) + one.scrollWidth)`;
    expect(await page.evaluate(cutTables)).toEqual([]);
    await page.setViewportSize({ width: 700, height: 900 });
    await page.waitForFunction('document.querySelector("canvas").clientWidth > 500');
    expect(await width()).toBe(700);
    await page.evaluate('dispatchEvent(new Event("beforeprint"))');
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
    expect((await page.pdf({ format: 'A4' })).length).toBeGreaterThan(10_000);
    expect(complaints).toEqual([]);
  });

  test('it is one file, small enough to send', async () => {
    expect((await readFile(file)).length).toBeLessThan(200_000);
  });
}

/** In the browser: how much of a canvas is painted. */
function drawnShare(element: unknown): number {
  const canvas = element as { width: number; height: number; getContext(kind: '2d'): Context };
  interface Context {
    getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray };
  }
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let painted = 0;
  for (let at = 3; at < data.length; at += 4) painted += data[at] === 0 ? 0 : 1;
  return painted / (data.length / 4);
}
