/** Folders, bucket, ledger, login and configuration for a daemon under test; and a note of what was dropped. */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Config } from '../../src/config/schema.ts';
import type { LedgerRow, RelativePath } from '../../src/model.ts';
import { pathFromBytes, pathFromText } from '../../src/service/path-bytes.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { placeOf, sha256Of } from './daemon-files.ts';
import type { Environment } from './daemon-program.ts';
import { type LocalStore, type Store, type StoreKeys, startLocalStore } from './daemon-store.ts';
import { fastFolder, type TestDatabase, type TestPostgres } from './postgres.ts';

/** A file that was dropped, and what is to become of it. */
export interface Drop {
  readonly path: RelativePath;
  readonly size: number;
  readonly sha256: string;
  /** What the reason must say; undefined where it is to be accepted. */
  readonly rejected: RegExp | undefined;
}

export type Row = LedgerRow & { readonly recorded_at: Date };

/** Keys to be changed, by section. */
export type ConfigChanges = {
  readonly [Section in keyof Config]?: Config[Section] extends object | undefined ? Partial<Config[Section]> : never;
};

export interface Workplace<S extends Store = Store> extends AsyncDisposable {
  readonly folder: string;
  readonly inbox: string;
  readonly archive: string;
  readonly quarantine: string;
  /** HOME of the daemon: `.aws/credentials` is the writer's login. */
  readonly home: string;
  readonly configFile: string;
  readonly env: Environment;
  readonly store: S;
  readonly database: TestDatabase;
  /** In force, defaults left out. */
  readonly config: ConfigChanges;
  /** All that must have come through in the end. */
  readonly drops: readonly Drop[];
  /** Every daemon that was started here. */
  readonly daemons: readonly Daemon[];
  /** Changes keys of the configuration file. */
  configure(changes: ConfigChanges): Promise<void>;
  /** Writes these into `~/.aws/credentials`. */
  logIn(keys: StoreKeys): Promise<void>;
  /** Puts a file into the inbox as a careful producer does, and notes it. */
  drop(path: string | Buffer, content: string | Buffer, rejected?: RegExp): Promise<Drop>;
  /** Notes a file that comes into the inbox by other ways. */
  note(...drops: readonly Drop[]): void;
  /** A daemon that may not come up. */
  spawn(env?: Environment): Daemon;
  /** A daemon that is ready. */
  start(env?: Environment): Promise<Daemon>;
  /** The whole ledger, in the order of the chain. */
  rows(): Promise<Row[]>;
}

export interface WorkplaceOptions {
  readonly postgres: Pick<TestPostgres, 'createDatabase' | 'start'>;
  readonly config?: ConfigChanges;
  /** Too much for memory: on the disk, though it is slower. */
  readonly onDisk?: boolean;
  /** A command that its daemons are started by, and that becomes them. */
  readonly through?: readonly string[];
  /** Where inbox, archive and quarantine lie, and where the journal does: on disks that a test has in its hands. */
  readonly disks?: { readonly files?: string; readonly journal?: string };
}

/** A workplace with the project's own endpoint, where temporary files are fast. */
export async function makeWorkplace(options: WorkplaceOptions): Promise<Workplace<LocalStore>> {
  const folder = await makeFolder(options.onDisk === true ? tmpdir() : fastFolder());
  const store = await startLocalStore(join(folder, 's3'));
  return furnish(folder, store, { AWS_ENDPOINT_URL_STS: store.url }, options, () => store[Symbol.asyncDispose]());
}

/** A workplace on the disk, whose bucket is somebody else's. */
export async function makeWorkplaceAt(store: Store, options: WorkplaceOptions): Promise<Workplace> {
  return furnish(await makeFolder(tmpdir()), store, {}, options, async () => {});
}

const makeFolder = (parent: string): Promise<string> => mkdtemp(join(parent, 'dropledger-test-'));

async function furnish<S extends Store>(
  folder: string,
  store: S,
  surroundings: Environment,
  { postgres, config: changes = {}, through, disks = {} }: WorkplaceOptions,
  closeStore: () => PromiseLike<void>,
): Promise<Workplace<S>> {
  const place = (name: string) => join(folder, name);
  const shelf = (name: string) => join(disks.files ?? folder, name);
  const [inbox, archive, quarantine, home] = [shelf('inbox'), shelf('archive'), shelf('quarantine'), place('home')];
  const journal = join(disks.journal ?? folder, 'journal.db');
  for (const path of [inbox, archive, quarantine, join(home, '.aws')]) await mkdir(path, { recursive: true });
  const configFile = place('config.json');
  const database = await postgres.createDatabase();
  const env = { HOME: home, TZ: 'UTC', ...surroundings };
  const drops: Drop[] = [];
  const daemons: Daemon[] = [];
  let config = merged(configFor({ inbox, archive, quarantine, journal, store, database }), changes);
  let written = 0;

  const workplace: Workplace<S> = {
    ...{ folder, inbox, archive, quarantine, home, configFile, env, store, database, drops, daemons },
    get config() {
      return config;
    },
    async configure(more) {
      config = merged(config, more);
      await writeFile(configFile, JSON.stringify(config));
    },
    async logIn({ accessKeyId, secretAccessKey }) {
      const text = `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
      await writeFile(join(home, '.aws/credentials'), text, { mode: 0o600 });
    },
    async drop(name, content, rejected) {
      const path = typeof name === 'string' ? pathFromText(name) : pathFromBytes(name);
      const target = placeOf(inbox, path);
      const drop = { path, size: Buffer.byteLength(content), sha256: sha256Of(content), rejected };
      drops.push(drop);
      written += 1;
      const unfinished = join(inbox, `.unfinished-${written}`);
      await mkdir(Buffer.from(dirname(target.toString('latin1')), 'latin1'), { recursive: true });
      await writeFile(unfinished, content);
      await rename(unfinished, target);
      return drop;
    },
    note: (...more) => void drops.push(...more),
    spawn(more = {}) {
      const daemon = startDaemon({ config: configFile, env: { ...env, ...more }, through });
      daemons.push(daemon);
      return daemon;
    },
    async start(more) {
      const daemon = workplace.spawn(more);
      await daemon.waitFor('ready');
      return daemon;
    },
    async rows() {
      const { rows } = await database.query(
        'SELECT *, size_bytes::float8 AS size_bytes, seq::float8 AS seq FROM dropledger.uploads ORDER BY uploads.chain, uploads.seq',
      );
      return rows as Row[];
    },
    async [Symbol.asyncDispose]() {
      const ends = await Promise.allSettled(daemons.map((daemon) => daemon[Symbol.asyncDispose]()));
      try {
        await closeStore();
        await postgres.start(); // a test that failed may have left it stopped
        await database[Symbol.asyncDispose]();
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
  await workplace.configure({});
  await workplace.logIn(store.writer);
  return workplace;
}

interface Parts {
  readonly inbox: string;
  readonly archive: string;
  readonly quarantine: string;
  readonly journal: string;
  readonly store: Store;
  readonly database: TestDatabase;
}

function configFor({ inbox, archive, quarantine, journal, store, database }: Parts): ConfigChanges {
  const { host, port, user, passwordFile } = database.writer;
  return {
    dropFolder: {
      path: inbox,
      archivePath: archive,
      quarantinePath: quarantine,
      settleMs: 100,
      rescanSeconds: 1,
    },
    s3: {
      bucket: store.bucket,
      prefix: store.prefix,
      region: store.region,
      endpoint: store.url,
      forcePathStyle: true,
    },
    ledger: { host, port, user, database: database.name, auth: 'password', passwordFile, tls: 'off' },
    journal: { path: journal },
    control: { socket: join(dirname(journal), 'control.sock') },
  };
}

const merged = (base: ConfigChanges, changes: ConfigChanges): ConfigChanges => {
  const sections = new Set([...Object.keys(base), ...Object.keys(changes)]) as Set<keyof ConfigChanges>;
  return Object.fromEntries([...sections].map((name) => [name, { ...base[name], ...changes[name] }]));
};
