import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type SystemdBox, whyNoSystemdBox } from '../support/systemd-box.ts';
import { asUser, bootInstalledBox, journalFromNow } from './installed-box.ts';

/** The real program under the real unit on a real systemd. Each test starts the service anew, on a state that goes on. */
const reason = whyNoSystemdBox();
const node = '/opt/dropledger/node_modules/.bin/node';
const writerPassword = 'box-password';

describe.skipIf(reason !== undefined)(`the service${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let box: SystemdBox;
  let journalOfTest: Awaited<ReturnType<typeof journalFromNow>>;
  let config: ReturnType<typeof defaultConfig>;

  beforeAll(async () => {
    box = await bootInstalledBox();
    await box.write(
      '/run/systemd/system/neighbours.service',
      `[Service]\nType=notify\nExecStart=${node} /opt/dropledger/test/system/neighbours.ts ${writerPassword}\n`,
    );
    // The program comes from the repository; waiting for restarts and for the watchdog is cut short.
    await box.write(
      '/etc/systemd/system/dropledger.service.d/test.conf',
      `[Service]\nExecStart=\nExecStart=/opt/dropledger/bin/dropledger.js run --config /etc/dropledger/config.json
RestartSec=100ms\nWatchdogSec=4\n[Unit]\nStartLimitIntervalSec=0\n`,
    );
    await box.must('systemctl daemon-reload && systemctl start neighbours');
    config = defaultConfig(Number(await box.must('cat /srv/postgres/port')));
    await box.write('/etc/dropledger/ledger-password', `${writerPassword}\n`);
    await box.write('/etc/dropledger/environment', 'AWS_ENDPOINT_URL_STS=http://127.0.0.1:9000\n');
    await box.must('chgrp -R dropledger /etc/dropledger && chmod 640 /etc/dropledger/*');
  });
  beforeEach(async () => {
    await box.must('systemctl stop dropledger; systemctl reset-failed dropledger; rm -rf /srv/dropledger/inbox/*');
    await configure(config);
    await useSecretKey('box-secret');
    journalOfTest = await journalFromNow(box);
  });
  afterAll(() => box?.[Symbol.asyncDispose]());

  const configure = (value: unknown) => box.write('/etc/dropledger/config.json', JSON.stringify(value));
  const useSecretKey = async (key: string) => {
    const text = `[default]\naws_access_key_id = AKIABOX\naws_secret_access_key = ${key}\n`;
    await box.write('/var/lib/dropledger/.aws/credentials', text);
    await box.must('chown -R dropledger:dropledger /var/lib/dropledger/.aws');
  };
  const start = async () => {
    const { code, stderr } = await box.run('systemctl start dropledger');
    expect({ code, stderr, journal: code === 0 ? '' : await journal() }).toEqual({ code: 0, stderr: '', journal: '' });
  };
  const property = async (name: string): Promise<string> => box.must(`systemctl show dropledger --value -p ${name}`);
  /** What the service, and systemd about it, wrote in this test: all, or what is at least as bad as `priority`. */
  const journal = (priority = 'debug'): Promise<string> => journalOfTest(`-u dropledger -p ${priority}`);
  const drop = async (name: string, content: string): Promise<void> => {
    await box.must(asUser('alice', `echo -n "${content}" > "/srv/dropledger/inbox/${name}"`));
  };
  const rowsOf = async (path: string): Promise<Record<string, unknown>[]> => {
    const sql = `SELECT path, size_bytes::int, sha256, object_key, status, file_owner FROM dropledger.uploads WHERE path = '${path}'`;
    return JSON.parse(await box.must(`${node} /opt/dropledger/test/system/ledger-query.ts "${sql}"`));
  };
  /** Uploaded byte for byte, recorded once, archived. */
  const expectUploaded = async (path: string, content: string) => {
    await vi.waitFor(() => box.must(`test -f "/srv/dropledger/archive/${path}"`), { timeout: 20_000, interval: 100 });
    expect(await box.must(`cat "/srv/s3/acme-in/in/${path}" "/srv/dropledger/archive/${path}"`)).toBe(
      content.repeat(2),
    );
    expect(await box.run(`test -e "/srv/dropledger/inbox/${path}"`)).toMatchObject({ code: 1 });
    const sha256 = createHash('sha256').update(content).digest('hex');
    expect(await rowsOf(path)).toEqual([
      { path, size_bytes: content.length, sha256, object_key: `in/${path}`, status: 'uploaded', file_owner: 'alice' },
    ]);
  };

  test("is ready, and what alice drops is in the bucket, in the ledger and in the archive; nothing needs a person's eye", async () => {
    await start();
    await drop('first report.csv', 'a,b,c');
    await expectUploaded('first report.csv', 'a,b,c');
    expect(await box.must('systemctl status dropledger')).toMatch(/Status: ".+"/);
    expect(await journal()).toMatch(/^ready /m);
    expect(await journal()).toMatch(/^uploaded path="first report.csv" .*bytes=5 /m);
    expect(await journal('warning')).toBe('');
  });

  test('stops cleanly, with what is waiting left for the next start', async () => {
    await start();
    await box.must('systemctl stop dropledger');
    expect(await property('Result')).toBe('success');
    expect(await property('ExecMainStatus')).toBe('0');
    expect(await journal()).toMatch(/^stopping[\s\S]*^stopped/m);
    expect(await journal('warning')).toBe('');
    await drop('while it was down.csv', 'x');
    await start();
    await expectUploaded('while it was down.csv', 'x');
  });

  test('a kill -9 is a restart, and the work goes on', async () => {
    await start();
    const first = await property('MainPID');
    await box.must(`kill -9 ${first}`);
    await drop('after the kill.csv', 'y');
    await expectUploaded('after the kill.csv', 'y');
    expect(await property('NRestarts')).toBe('1');
    expect(await property('MainPID')).not.toBe(first);
  });

  test('the watchdog finds a process that stands still', async () => {
    await start();
    await box.must(`kill -STOP ${await property('MainPID')}`);
    await vi.waitFor(async () => expect(await property('NRestarts')).toBe('1'), { timeout: 20_000, interval: 100 });
    expect(await journal()).toContain('Watchdog timeout');
    await drop('after the watchdog.csv', 'z');
    await expectUploaded('after the watchdog.csv', 'z');
  });

  test('a reload takes what can be taken, and the service goes on', async () => {
    await start();
    const pid = await property('MainPID');
    await configure({ ...config, log: { level: 'debug' } });
    await box.must('systemctl reload dropledger');
    await vi.waitFor(async () => expect(await journal()).toMatch(/^reloaded/m), { timeout: 10_000, interval: 100 });
    expect(await property('ActiveState')).toBe('active');
    expect(await property('MainPID')).toBe(pid);
    await drop('after the reload.csv', 'r');
    await expectUploaded('after the reload.csv', 'r');
  });

  test('a wrong config: exit 78, every problem in the journal at err, and no restart', async () => {
    await configure({ ...config, s3: { ...config.s3, bucket: '', colour: 'red' } });
    expect(await box.run('systemctl start dropledger')).toMatchObject({ code: 1 });
    await expectFailedForGood('78');
    expect(await journal('err')).toMatch(/s3\.bucket/);
    expect(await journal('err')).toMatch(/colour/);
  });

  test('a bucket that does not exist: exit 78', async () => {
    await configure({ ...config, s3: { ...config.s3, bucket: 'no-such-bucket' } });
    expect(await box.run('systemctl start dropledger')).toMatchObject({ code: 1 });
    await expectFailedForGood('78');
    expect(await journal('err')).toMatch(/NoSuchBucket.* hint=.*s3\.bucket/);
  });

  test('refused credentials: exit 77, one notice with the way to mend it, nothing uploaded, and no restart', async () => {
    await useSecretKey('not-the-secret');
    await drop('must wait.csv', 'w');
    expect(await box.run('systemctl start dropledger')).toMatchObject({ code: 1 });
    await expectFailedForGood('77');
    expect((await journal('err')).split('\n').filter((line) => line.includes('hint='))).toHaveLength(1);
    expect(await journal()).not.toMatch(/not-the-secret/);
    await box.must('test -e "/srv/dropledger/inbox/must wait.csv"');
    await useSecretKey('box-secret');
    await start();
    await expectUploaded('must wait.csv', 'w');
  });

  const expectFailedForGood = async (status: string) => {
    expect(await property('ExecMainStatus')).toBe(status);
    expect(await property('NRestarts')).toBe('0');
    expect(await property('ActiveState')).toBe('failed');
  };
});

const defaultConfig = (ledgerPort: number) => ({
  dropFolder: {
    path: '/srv/dropledger/inbox',
    settleMs: 100,
    archivePath: '/srv/dropledger/archive',
    quarantinePath: '/srv/dropledger/quarantine',
  },
  s3: {
    bucket: 'acme-in',
    prefix: 'in/',
    region: 'eu-west-1',
    endpoint: 'http://127.0.0.1:9000',
    forcePathStyle: true,
  },
  ledger: {
    host: '127.0.0.1',
    port: ledgerPort,
    database: 'postgres',
    user: 'dropledger_writer',
    auth: 'password',
    passwordFile: '/etc/dropledger/ledger-password',
    tls: 'off',
  },
});
