import { createHash } from 'node:crypto';
import { expect, vi } from 'vitest';
import type { SystemdBox } from '../support/systemd-box.ts';
import { asUser, bootInstalledBox, journalFromNow } from './installed-box.ts';

/** Runs what is beside the installed program, from the repository. */
export const node = '/opt/dropledger/node_modules/.bin/node';
const writerPassword = 'box-password';
const secretKey = 'box-secret';

export type BoxConfig = ReturnType<typeof defaultConfig>;

/** An installed and configured service, not started yet, with the S3 endpoint and the ledger that it needs. */
export interface ServiceBox extends AsyncDisposable {
  readonly box: SystemdBox;
  readonly config: BoxConfig;
  configure(config: object, file?: string): Promise<void>;
  useSecretKey(key?: string): Promise<void>;
  /** Must succeed; else the journal of the test is shown. */
  start(): Promise<void>;
  property(name: string, unit?: string): Promise<string>;
  /** Forgets what was in the journal: what `journal` tells is of the time after. */
  beginTest(): Promise<void>;
  /** What the service, and systemd about it, wrote in this test: all, or what is at least as bad as `priority`. */
  journal(priority?: string): Promise<string>;
  /** The same, by line, without systemd's own. */
  ownLines(priority: string): Promise<string[]>;
  /** As alice. */
  drop(name: string, content: string): Promise<void>;
  rowsOf(path: string): Promise<Record<string, unknown>[]>;
  /** Waits until it is uploaded byte for byte, recorded once, archived. */
  expectUploaded(path: string, content: string): Promise<void>;
}

export async function bootServiceBox(): Promise<ServiceBox> {
  const box = await bootInstalledBox();
  try {
    await box.write(
      '/etc/systemd/system/neighbours.service',
      `[Service]\nType=notify\nExecStart=${node} /opt/dropledger/test/system/neighbours.ts ${writerPassword}\n`,
    );
    // Waiting for restarts and for the watchdog is cut short.
    await box.write(
      '/etc/systemd/system/dropledger.service.d/test.conf',
      '[Service]\nRestartSec=100ms\nWatchdogSec=4\n[Unit]\nStartLimitIntervalSec=0\n',
    );
    await box.must('systemctl daemon-reload && systemctl start neighbours');
    await box.write('/etc/dropledger/ledger-password', `${writerPassword}\n`);
    await box.write('/etc/dropledger/environment', 'AWS_ENDPOINT_URL_STS=http://127.0.0.1:9000\n');
    await box.must('chgrp -R dropledger /etc/dropledger && chmod 640 /etc/dropledger/*');
    return await createServiceBox(box);
  } catch (error) {
    await box[Symbol.asyncDispose]();
    throw error;
  }
}

async function createServiceBox(box: SystemdBox): Promise<ServiceBox> {
  const config = defaultConfig('/srv/dropledger');
  let journalOfTest = await journalFromNow(box);

  const configure = (value: object, file = 'config.json') =>
    box.write(`/etc/dropledger/${file}`, JSON.stringify(value));
  const useSecretKey = async (key = secretKey, home = '/var/lib/dropledger') => {
    const text = `[default]\naws_access_key_id = AKIABOX\naws_secret_access_key = ${key}\n`;
    await box.write(`${home}/.aws/credentials`, text);
    await box.must(`chown -R dropledger:dropledger ${home}/.aws`);
  };
  const journal = (priority = 'debug') => journalOfTest(`-u dropledger -p ${priority}`);
  const rowsOf = async (path: string): Promise<Record<string, unknown>[]> => {
    const sql = `SELECT path, size_bytes::int, sha256, object_key, status, file_owner FROM dropledger.uploads WHERE path = '${path}'`;
    return JSON.parse(await box.must(`${node} /opt/dropledger/test/system/ledger-query.ts "${sql}"`));
  };
  await configure(config);
  await useSecretKey();
  return {
    box,
    config,
    configure,
    useSecretKey,
    journal,
    rowsOf,
    async start() {
      const { code, stderr } = await box.run('systemctl start dropledger');
      expect({ code, stderr, journal: code === 0 ? '' : await journal() }).toEqual({
        code: 0,
        stderr: '',
        journal: '',
      });
    },
    property: (name, unit = 'dropledger') => box.must(`systemctl show ${unit} --value -p ${name}`),
    async beginTest() {
      journalOfTest = await journalFromNow(box);
    },
    async ownLines(priority) {
      const lines = await journalOfTest(`_SYSTEMD_UNIT=dropledger.service -p ${priority}`);
      return lines.split('\n').filter((line) => line !== '');
    },
    async drop(name, content) {
      await box.must(asUser('alice', `echo -n "${content}" > "/srv/dropledger/inbox/${name}"`));
    },
    async expectUploaded(path, content) {
      await vi.waitFor(() => box.must(`test -f "/srv/dropledger/archive/${path}"`), { timeout: 60_000, interval: 100 });
      expect(await box.must(`cat "/srv/s3/acme-in/in/${path}" "/srv/dropledger/archive/${path}"`)).toBe(
        content.repeat(2),
      );
      expect(await box.run(`test -e "/srv/dropledger/inbox/${path}"`)).toMatchObject({ code: 1 });
      const sha256 = createHash('sha256').update(content).digest('hex');
      expect(await rowsOf(path)).toEqual([
        { path, size_bytes: content.length, sha256, object_key: `in/${path}`, status: 'uploaded', file_owner: 'alice' },
      ]);
    },
    [Symbol.asyncDispose]: () => box[Symbol.asyncDispose](),
  };
}

/** With inbox, archive and quarantine below `folder`. */
export const defaultConfig = (folder: string) => ({
  dropFolder: {
    path: `${folder}/inbox`,
    settleMs: 100,
    archivePath: `${folder}/archive`,
    quarantinePath: `${folder}/quarantine`,
  },
  s3: {
    bucket: 'acme-in',
    prefix: 'in/',
    region: 'eu-west-1',
    endpoint: 'http://127.0.0.1:9000',
    forcePathStyle: true,
  },
  ledger: {
    host: '/srv/postgres/socket',
    database: 'postgres',
    user: 'dropledger_writer',
    auth: 'password',
    passwordFile: '/etc/dropledger/ledger-password',
    tls: 'off',
  },
});
