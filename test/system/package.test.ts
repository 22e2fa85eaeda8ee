import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { buildQuickly, debInBox } from '../support/built-packages.ts';
import { whyNoSystemdBox } from '../support/systemd-box.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { asUser } from './installed-box.ts';
import { bootServiceBox, defaultConfig, type ServiceBox } from './service-box.ts';

/** The life of the package on one machine: each test goes on from the one before it. */
const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(`the package${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let service: ServiceBox;

  beforeAll(async () => {
    service = await bootServiceBox();
  });
  afterAll(() => service?.[Symbol.asyncDispose]());

  const installNext = () => service.box.must(`dpkg -i ${debInBox(inject('debs').next)}`);

  test('what was installed is whole, not started, and says what comes next', async () => {
    const { box, property } = service;
    // The test has put its own configuration there.
    expect(await box.must('dpkg --verify dropledger')).toBe('??5?????? c /etc/dropledger/config.json');
    expect(await property('ActiveState')).toBe('inactive');
    expect(await box.run('systemctl is-enabled dropledger')).toMatchObject({ stdout: 'disabled\n' });
    expect(await box.must('dropledger --version')).toMatch(/^dropledger \d/);
    expect(await box.must('dpkg -s dropledger')).toContain('Maintainer: Ada Packager <ada@example.org>');
    expect(await box.must('dpkg -i /opt/packages/*1.0.0*.deb 2>&1')).not.toMatch(/systemctl enable/);
  });

  test('two builds are the same bytes', async () => {
    await using folder = await tempFolder();
    const again = await buildQuickly(folder.path, '1.0.0');
    expect((await readFile(again)).equals(await readFile(inject('debs').current))).toBe(true);
  });

  test('a second daemon by the template, with a folder, a state and a name of its own', async () => {
    const { box, configure, start, drop, expectUploaded } = service;
    await start();
    await box.must(`mkdir /etc/tmpfiles.d && sed 's#/srv/dropledger/#/srv/dropledger/north/#; s#/srv/dropledger #/srv/dropledger/north #' \\
      /usr/lib/tmpfiles.d/dropledger.conf > /etc/tmpfiles.d/dropledger-north.conf
      systemd-tmpfiles --create dropledger-north.conf`);
    const config = defaultConfig('/srv/dropledger/north');
    await configure({ ...config, s3: { ...config.s3, prefix: 'in/north/' } }, 'north.json');
    await box.must('install -d -m 700 -o dropledger -g dropledger /var/lib/dropledger-north');
    await box.must('cp -a /var/lib/dropledger/.aws /var/lib/dropledger-north/ && systemctl start dropledger@north');
    await box.must(asUser('alice', 'echo -n n > /srv/dropledger/north/inbox/n.csv'));
    await vi.waitFor(() => box.must('test -e /srv/dropledger/north/archive/n.csv'), { timeout: 30_000, interval: 100 });
    expect(await box.must('cat /srv/s3/acme-in/in/north/n.csv')).toBe('n');
    await drop('main.csv', 'm');
    await expectUploaded('main.csv', 'm');
    expect(await service.rowsOf('n.csv')).toMatchObject([{ object_key: 'in/north/n.csv' }]);
    expect(await box.must('ls /run | grep ^dropledger | xargs')).toBe('dropledger dropledger-north');
    expect(await box.must('journalctl -q -o cat -u dropledger@north -g ^uploaded')).toMatch(/^uploaded path=n.csv/);
  });

  test('an upgrade restarts what runs, keeps the configuration, and loses nothing', async () => {
    const { box, config, configure, property, drop, expectUploaded } = service;
    await configure({ ...config, dropFolder: { ...config.dropFolder, rescanSeconds: 17 } });
    const [before, beforeNorth] = [await property('MainPID'), await property('MainPID', 'dropledger@north')];
    for (const n of [1, 2, 3]) await drop(`on the way ${n}.csv`, `w${n}`);
    await installNext();
    expect(await box.must('dpkg-query -W dropledger')).toBe('dropledger\t1.0.1');
    expect(await property('ActiveState')).toBe('active');
    expect(await property('MainPID')).not.toBe(before);
    expect(await property('MainPID', 'dropledger@north')).not.toBe(beforeNorth);
    expect(await property('Result')).toBe('success');
    expect(await box.must('cat /etc/dropledger/config.json')).toMatch(/"rescanSeconds":17/);
    for (const n of [1, 2, 3]) await expectUploaded(`on the way ${n}.csv`, `w${n}`);
    // What the daemon compiled, it keeps where nobody else may write.
    for (const folder of ['/var/cache/dropledger', '/var/cache/dropledger-north']) {
      expect(await box.must(`stat -L -c %a:%U ${folder}`)).toBe('700:dropledger');
      expect(await box.must(`find -L ${folder} -type f -size +1k | head -1`)).not.toBe('');
    }
  });

  test.each(['reboot', 'crash'] as const)('after a %s of the machine it goes on by itself', async (how) => {
    const { box, property, drop, expectUploaded } = service;
    await box.must('systemctl enable dropledger dropledger@north');
    await box.write(
      '/etc/systemd/system/box.target.d/all.conf',
      '[Unit]\nWants=dropledger.service dropledger@north.service neighbours.service\n',
    );
    // What is on its way when the machine goes down: recorded, uploaded, or not yet looked at.
    await box.must('systemctl stop neighbours');
    await drop(`before the ${how}.csv`, how);
    await box.restart(how);
    await expectUploaded(`before the ${how}.csv`, how);
    await drop(`after the ${how}.csv`, 'x');
    await expectUploaded(`after the ${how}.csv`, 'x');
    expect(await property('ActiveState')).toBe('active');
    expect(await property('ActiveState', 'dropledger@north')).toBe('active');
  });

  test('a purge stops everything and leaves the data', async () => {
    const { box, property, drop } = service;
    await box.must('systemctl stop neighbours');
    await drop('not uploaded yet.csv', 'u');
    const said = await box.must('dpkg --purge dropledger 2>/dev/null');
    expect(said).toMatch(/Data is not removed/);
    expect(await property('ActiveState')).toBe('inactive');
    expect(await property('ActiveState', 'dropledger@north')).toBe('inactive');
    await box.must('test -s /var/lib/dropledger/journal.db -a -s /var/lib/dropledger-north/journal.db');
    await box.must('test -e "/srv/dropledger/inbox/not uploaded yet.csv" -a -e /srv/dropledger/archive/main.csv');
    expect(await box.must('id -un dropledger')).toBe('dropledger');
    expect(await box.run('ls /usr/lib/dropledger /usr/bin/dropledger /etc/dropledger/config.json')).toMatchObject({
      stdout: '',
    });
    expect(await box.must('find /etc/systemd -name "*dropledger*" -type l')).toBe('');
    expect(await box.must('find /var/cache -name "*dropledger*"')).toBe('');
  });
});
