import { readFile, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { configJsonSchema, InvalidConfig, loadConfig, parseConfig } from '../../../src/config/load.ts';
import { journalPath, ledgerTarget } from '../../../src/config/places.ts';
import { changesBetween } from '../../../src/config/reload.ts';
import { tempFolder } from '../../support/temp-folder.ts';

type Data = Record<string, Record<string, unknown>>;

const least: Data = {
  dropFolder: { path: '/srv/inbox', archivePath: '/srv/archive', quarantinePath: '/srv/quarantine' },
  s3: { bucket: 'records', region: 'eu-west-1' },
  ledger: { host: 'db.example.org', database: 'ledger', user: 'dropledger_writer' },
};
/** The least configuration with some keys of some sections changed; undefined takes one away. */
const config = (changes: Data = {}): Data =>
  Object.fromEntries(
    [...new Set([...Object.keys(least), ...Object.keys(changes)])].map((section) => [
      section,
      { ...least[section], ...changes[section] },
    ]),
  );
const parse = (data: unknown) => parseConfig('config.json', JSON.stringify(data));
/** Each problem as `key message`. */
function problemsOf(data: unknown): string[] {
  try {
    parse(data);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error;
    return error.problems.map(({ path, message }) => `${path} ${message}`);
  }
}

test('the least configuration gets the documented defaults', () => {
  expect(parse(config())).toMatchObject({
    dropFolder: { settleMs: 2000, rescanSeconds: 30, afterUpload: 'archive', removeEmptyFoldersAfterHours: 24 },
    s3: {
      prefix: '',
      onConflict: 'keep-both',
      sharedPrefix: false,
      partSizeMiB: 8,
      checksums: 'send',
      engine: 'native',
    },
    aws: { ssoSessionHours: 8 },
    ledger: { port: 5432, auth: 'iam', tls: 'verify-full' },
    journal: { rememberDays: 365 },
    log: { level: 'info', format: 'auto' },
  });
});

test('every problem is told at once, each by its key', () => {
  const problems = problemsOf(
    config({
      dropFolder: { path: 'relative', settleMs: -1, afterUpload: 'burn', watch: true },
      s3: { bucket: undefined, partSizeMiB: 4, endpoint: 'not a url', expectedBucketOwner: '12' },
      ledger: { port: 0, auth: 'password', tls: 'off' },
      queue: {},
    }),
  );
  expect(problems.map((problem) => problem.split(' ')[0]).sort()).toEqual(
    [
      'dropFolder.path',
      'dropFolder.settleMs',
      'dropFolder.afterUpload',
      'dropFolder.watch',
      's3.bucket',
      's3.partSizeMiB',
      's3.endpoint',
      's3.expectedBucketOwner',
      'ledger.port',
      'ledger.passwordFile',
      'ledger.tls',
      'queue',
    ].sort(),
  );
  expect(problems).toContain('s3.bucket is missing');
  expect(problems).toContain('dropFolder.watch is not a known key');
});

test('the message names the file and has a line for each problem', () => {
  expect(() => parse(config({ s3: { region: undefined, bucket: '' } }))).toThrow(
    'config.json has 2 problems:\n  s3.bucket must not be empty\n  s3.region is missing',
  );
});

describe('folders that would swallow one another are refused', () => {
  test.each([
    ['dropFolder.archivePath', { dropFolder: { archivePath: '/srv/inbox/done' } }],
    ['dropFolder.archivePath', { dropFolder: { archivePath: '/srv' } }],
    ['dropFolder.archivePath', { dropFolder: { archivePath: '/srv/x/../inbox' } }],
    ['dropFolder.quarantinePath', { dropFolder: { quarantinePath: '/srv/inbox' } }],
    ['dropFolder.quarantinePath', { dropFolder: { quarantinePath: '/srv/archive/bad' } }],
    ['journal.path', { journal: { path: '/srv/inbox/journal.db' } }],
    ['control.socket', { control: { socket: '/srv/inbox/control.sock' } }],
    ['ledger.passwordFile', { ledger: { auth: 'password', passwordFile: '/srv/inbox/password' } }],
  ])('%s', (key, changes) => {
    expect(problemsOf(config(changes)).map((problem) => problem.split(' ')[0])).toContain(key);
  });

  test('names that only begin alike are no trouble', () => {
    expect(
      problemsOf(config({ dropFolder: { archivePath: '/srv/inbox-done', quarantinePath: '/srv/..inbox' } })),
    ).toEqual([]);
  });
});

test('an archive is required only where files are archived', () => {
  const without = (afterUpload: string) => problemsOf(config({ dropFolder: { archivePath: undefined, afterUpload } }));
  expect(without('archive')).toEqual([
    'dropFolder.archivePath is required, because dropFolder.afterUpload is "archive"',
  ]);
  expect([...without('delete'), ...without('keep')]).toEqual([]);
});

test('a socket has a path that fits, and metrics an address', () => {
  const socket = (path: string) => problemsOf(config({ control: { socket: path } })).length;
  expect([`/run/${'x'.repeat(102)}`, `/run/${'x'.repeat(103)}`, `/run/${'ñ'.repeat(52)}`, 'run/x'].map(socket)).toEqual(
    [0, 1, 1, 1],
  );
  const listen = (address: string) => problemsOf(config({ metrics: { listen: address } })).length;
  expect(['9464', '127.0.0.1:9464', '[::1]:9464', '0.0.0.0:9464', 'localhost:9464'].map(listen)).toEqual([
    0, 0, 0, 0, 0,
  ]);
  expect(['', ':9464', '127.0.0.1', '::1:9464', '1:99999', 'http://x:1', '9464 '].map(listen)).toEqual([
    1, 1, 1, 1, 1, 1, 1,
  ]);
});

test('TLS may be off for this machine alone', () => {
  const off = (host: string) => problemsOf(config({ ledger: { host, tls: 'off' } })).length;
  expect(['localhost', '127.0.0.1', '127.1.2.3', '::1', '/run/postgresql'].map(off)).toEqual([0, 0, 0, 0, 0]);
  expect(['db.example.org', '127.0.0.1.example.org', '10.0.0.1', 'localhost.example.org'].map(off)).toEqual([
    1, 1, 1, 1,
  ]);
});

test('who writes a secret into it is told where it belongs, and the secret is not repeated', () => {
  const secret = 'hunter2hunter2';
  const problems = problemsOf(config({ aws: { secretAccessKey: secret }, ledger: { password: secret } }));
  expect(problems.sort()).toEqual([
    expect.stringMatching(/^aws.secretAccessKey is not a key.*AWS chain/),
    expect.stringMatching(/^ledger.password is not a key.*ledger.passwordFile/),
  ]);
  expect(problems.join()).not.toContain(secret);
});

test('a section that is missing is one problem', () => {
  expect(problemsOf({})).toEqual(['dropFolder is missing', 's3 is missing', 'ledger is missing']);
});

test('a file that is missing, or not JSON, is told as such', async () => {
  await using folder = await tempFolder();
  await expect(loadConfig(folder.at('missing.json'))).rejects.toThrow(/cannot be read: there is no such file/);
  await writeFile(folder.at('config.json'), '{"s3": ');
  await expect(loadConfig(folder.at('config.json'))).rejects.toThrow(/is not JSON/);
  await writeFile(folder.at('config.json'), `\u{feff}${JSON.stringify(config())}`); // as some editors begin a file
  expect((await loadConfig(folder.at('config.json'))).s3.bucket).toBe('records');
});

test('config.example.json is right, and shows every key', async () => {
  const text = await readFile(new URL('../../../config.example.json', import.meta.url), 'utf8');
  expect(() => parseConfig('config.example.json', text)).not.toThrow();
  const shown = JSON.parse(text) as Data;
  const { properties } = configJsonSchema() as { properties: Record<string, { properties?: object }> };
  for (const [section, { properties: keys }] of Object.entries(properties)) {
    expect(Object.keys(shown)).toContain(section);
    if (keys !== undefined) expect(Object.keys(shown[section] ?? {}).sort()).toEqual(Object.keys(keys).sort());
  }
});

test('config.schema.json, for editors, is what the program checks', async () => {
  const text = await readFile(new URL('../../../config.schema.json', import.meta.url), 'utf8');
  expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
});

test('whatever stands in the file, it is a configuration or a list of problems', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      expect(() => parseConfig('config.json', text)).toThrow(InvalidConfig);
    }),
  );
  const wrong = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constant(null), fc.array(fc.string()), fc.object());
  const keys = Object.entries(parse(config())).flatMap(([section, values]) =>
    typeof values === 'object' ? Object.keys(values).map((key) => [section, key] as const) : [],
  );
  fc.assert(
    fc.property(fc.constantFrom(...keys), wrong, ([section, key], value) => {
      for (const problem of problemsOf(config({ [section]: { [key]: value } }))) {
        expect(problem).toMatch(/^(dropFolder|s3|aws|ledger|journal|log)\.\w+/);
      }
    }),
  );
});

test('however many keys are wrong, each of them is named at once', () => {
  const keys = Object.entries(configJsonSchema() as { properties: object }).flatMap(([name, sections]) =>
    name === 'properties'
      ? Object.entries(sections as Record<string, { properties?: object }>).flatMap(([section, { properties = {} }]) =>
          Object.keys(properties).map((key) => `${section}.${key}`),
        )
      : [],
  );
  expect(keys.length).toBeGreaterThan(40);
  fc.assert(
    fc.property(fc.subarray(keys, { minLength: 1 }), (wrong) => {
      const changes: Data = {};
      for (const path of wrong) {
        const [section = '', key = ''] = path.split('.');
        changes[section] = { ...changes[section], [key]: [[]] }; // which no key takes
      }
      const named = new Set(
        problemsOf(config(changes)).map((problem) => problem.split(' ')[0]?.split('.', 2).join('.')),
      );
      expect(wrong.filter((path) => !named.has(path))).toEqual([]);
    }),
  );
});

test('a reload says what takes effect, and what needs a restart', () => {
  const before = parse(config());
  expect(changesBetween(before, parse(config()))).toEqual({ applied: [], needRestart: [] });
  const after = parse(
    config({
      dropFolder: { rescanSeconds: 5, ignore: ['*.bak'], archiveKeepDays: 7 },
      s3: { bucket: 'other', metadata: { team: 'a' } },
      log: { level: 'debug', format: 'json' },
    }),
  );
  expect(changesBetween(before, after)).toEqual({
    applied: ['dropFolder.archiveKeepDays', 'dropFolder.rescanSeconds', 'log.level'],
    needRestart: ['dropFolder.ignore', 'log.format', 's3.bucket', 's3.metadata'],
  });
  expect(changesBetween(after, before).needRestart).toContain('s3.metadata'); // taken away again
});

test('the journal lies where the configuration, systemd or the package says', () => {
  const usual = parse(config());
  expect(journalPath(usual, {})).toBe('/var/lib/dropledger/journal.db');
  expect(journalPath(usual, { STATE_DIRECTORY: '/var/lib/dropledger/scans:/var/lib/other' })).toBe(
    '/var/lib/dropledger/scans/journal.db',
  );
  const own = parse(config({ journal: { path: '/data/journal.db' } }));
  expect(journalPath(own, { STATE_DIRECTORY: '/var/lib/x' })).toBe('/data/journal.db');
});

test('the ledger is in the region of the bucket where nothing else is said', () => {
  expect(ledgerTarget(parse(config())).region).toBe('eu-west-1');
  expect(ledgerTarget(parse(config({ ledger: { region: 'us-east-2' } }))).region).toBe('us-east-2');
});
