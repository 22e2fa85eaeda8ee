import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { whyNoSystemdBox } from '../support/systemd-box.ts';
import { asUser } from './installed-box.ts';
import { bootServiceBox, type ServiceBox } from './service-box.ts';

/** The installed program under its unit on a real systemd. Each test starts the service anew, on a state that goes on. */
const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(`the service${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let service: ServiceBox;

  beforeAll(async () => {
    service = await bootServiceBox();
  });
  beforeEach(async () => {
    const { box, configure, config, useSecretKey, beginTest } = service;
    await box.must('systemctl stop dropledger; systemctl reset-failed dropledger; systemctl start neighbours');
    await box.must('rm -rf /srv/dropledger/inbox/*');
    await configure(config);
    await useSecretKey();
    await beginTest();
  });
  afterAll(() => service?.[Symbol.asyncDispose]());

  test("is ready, and what alice drops is in the bucket, in the ledger and in the archive; nothing needs a person's eye", async () => {
    const { box, start, journal, drop, expectUploaded } = service;
    await start();
    await drop('first report.csv', 'a,b,c');
    await expectUploaded('first report.csv', 'a,b,c');
    expect(await box.must('systemctl status dropledger')).toMatch(/Status: ".+"/);
    expect(await journal()).toMatch(/^ready /m);
    expect(await journal()).toMatch(/^uploaded path="first report.csv" .*bytes=5 /m);
    expect(await journal('warning')).toBe('');
  });

  test('stops cleanly, with what is waiting left for the next start', async () => {
    const { box, start, property, journal, drop, expectUploaded } = service;
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
    const { box, start, property, drop, expectUploaded } = service;
    await start();
    const first = await property('MainPID');
    await box.must(`kill -9 ${first}`);
    await drop('after the kill.csv', 'y');
    await expectUploaded('after the kill.csv', 'y');
    expect(await property('NRestarts')).toBe('1');
    expect(await property('MainPID')).not.toBe(first);
  });

  test('the watchdog finds a process that stands still', async () => {
    const { box, start, property, journal, drop, expectUploaded } = service;
    await start();
    await box.must(`kill -STOP ${await property('MainPID')}`);
    await vi.waitFor(async () => expect(await property('NRestarts')).toBe('1'), { timeout: 20_000, interval: 100 });
    expect(await journal()).toContain('Watchdog timeout');
    await drop('after the watchdog.csv', 'z');
    await expectUploaded('after the watchdog.csv', 'z');
  });

  test('a reload takes what can be taken, and the service goes on', async () => {
    const { box, config, configure, start, property, journal, drop, expectUploaded } = service;
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
    const { box, config, configure, journal } = service;
    await configure({ ...config, s3: { ...config.s3, bucket: '', colour: 'red' } });
    expect(await box.run('systemctl start dropledger')).toMatchObject({ code: 1 });
    await expectFailedForGood('78');
    expect(await journal('err')).toMatch(/s3\.bucket/);
    expect(await journal('err')).toMatch(/colour/);
  });

  test('a bucket that does not exist: exit 78', async () => {
    const { box, config, configure, journal } = service;
    await configure({ ...config, s3: { ...config.s3, bucket: 'no-such-bucket' } });
    expect(await box.run('systemctl start dropledger')).toMatchObject({ code: 1 });
    await expectFailedForGood('78');
    expect(await journal('err')).toMatch(/NoSuchBucket.* hint=.*s3\.bucket/);
  });

  test('refused credentials: exit 77, one notice with the way to mend it, nothing uploaded, and no restart', async () => {
    const { box, useSecretKey, start, journal, drop, expectUploaded } = service;
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

  test('systemctl status tells what is going on', async () => {
    const { box, config, configure, start, property } = service;
    await configure({ ...config, s3: { ...config.s3, maxMbitPerSecond: 16 } });
    await start();
    const until = (line: RegExp) =>
      vi.waitFor(async () => expect(await property('StatusText')).toMatch(line), { timeout: 60_000, interval: 100 });
    await until(/^0 uploading, 0 queued, ledger ok$/);
    await box.must(
      asUser('alice', 'for n in 1 2 3; do head -c 7000000 /dev/urandom > /srv/dropledger/inbox/$n.bin; done'),
    );
    await until(/^[1-3] uploading, \d queued, ledger ok$/);
    await until(/^0 uploading, 0 queued, ledger ok$/);
  });

  test('the journal: err is what needs a person, warning also what is tried again; an outage mends itself', async () => {
    const { box, start, ownLines, drop, expectUploaded } = service;
    await start();
    await box.must(asUser('alice', 'echo x > /srv/dropledger/inbox/$(printf "caf\\351.txt")'));
    await vi.waitFor(async () => expect(await ownLines('err')).toHaveLength(1), { timeout: 20_000, interval: 100 });
    expect(await ownLines('err')).toEqual([
      expect.stringMatching(/^quarantined path=caf\\xE9\.txt error=.* hint=.* id=/),
    ]);
    expect(await ownLines('warning')).toEqual(await ownLines('err'));

    await box.must('systemctl stop neighbours');
    await drop('during the outage.csv', 'o');
    await vi.waitFor(async () => expect((await ownLines('warning')).length).toBeGreaterThan(1), {
      timeout: 20_000,
      interval: 100,
    });
    await box.must('systemctl start neighbours');
    await expectUploaded('during the outage.csv', 'o');
    expect(await ownLines('err')).toHaveLength(1);
    const [, ...duringOutage] = await ownLines('warning');
    for (const line of duringOutage) expect(line).toMatch(/^(retrying|paused|ledger-down) /);
  });

  test('what a person has to mend elsewhere is tried again, until the limit of starts', async () => {
    const { box, start, property, journal, drop, expectUploaded } = service;
    await start();
    await box.must(
      'systemctl stop dropledger && cd /var/lib/dropledger && mkdir aside && mv journal.db* aside && mkdir journal.db',
    );
    const dropIn = '/run/systemd/system/dropledger.service.d/z-limit.conf';
    await box.write(dropIn, '[Unit]\nStartLimitIntervalSec=300\n');
    await box.must('systemctl daemon-reload');
    expect(await box.run('systemctl start dropledger')).toMatchObject({ code: 1 });
    await vi.waitFor(async () => expect(await property('ActiveState')).toBe('failed'), {
      timeout: 60_000,
      interval: 200,
    });
    expect(await property('ExecMainStatus')).toBe('1');
    expect(await property('NRestarts')).toBe('10');
    expect(await journal('warning')).toMatch(/Start request repeated too quickly/);

    await box.must(`cd /var/lib/dropledger && rmdir journal.db && mv aside/* . && rmdir aside && rm ${dropIn}`);
    await box.must('systemctl daemon-reload; systemctl reset-failed dropledger');
    await start();
    await drop('after the limit.csv', 'l');
    await expectUploaded('after the limit.csv', 'l');
  });

  test('a large upload is given up when the grace time is over, and the next start uploads it', async () => {
    const { box, config, configure, start, property, ownLines } = service;
    await configure({ ...config, s3: { ...config.s3, maxMbitPerSecond: 16 } });
    await start();
    await box.must(
      asUser('alice', 'cd /srv/dropledger/inbox && head -c 150000000 /dev/zero > .large && mv .large large.img'),
    );
    await vi.waitFor(async () => expect(await property('StatusText')).toMatch(/^1 uploading/), {
      timeout: 20_000,
      interval: 100,
    });
    await box.must('systemctl stop dropledger');
    expect(await property('Result')).toBe('success');
    expect((await ownLines('info')).map((line) => line.split(' ')[0])).toEqual(
      expect.arrayContaining(['stopping', 'stopped']),
    );
    await box.must('test -e /srv/dropledger/inbox/large.img');
    await configure(config);
    await start();
    await vi.waitFor(() => box.must('test -e /srv/dropledger/archive/large.img'), { timeout: 60_000, interval: 200 });
    await box.must('cmp /srv/s3/acme-in/in/large.img /srv/dropledger/archive/large.img');
    expect(await service.rowsOf('large.img')).toMatchObject([{ status: 'uploaded', size_bytes: 150_000_000 }]);
  });

  const expectFailedForGood = async (status: string) => {
    const { property } = service;
    expect(await property('ExecMainStatus')).toBe(status);
    expect(await property('NRestarts')).toBe('0');
    expect(await property('ActiveState')).toBe('failed');
  };
});
