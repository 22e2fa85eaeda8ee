import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SystemdBox, whyNoSystemdBox } from '../support/systemd-box.ts';
import { asUser, bootInstalledBox, journalFromNow } from './installed-box.ts';

const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(
  `the unit on a real systemd${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let box: SystemdBox;

    beforeAll(async () => {
      box = await bootInstalledBox();
    });
    afterAll(() => box?.[Symbol.asyncDispose]());

    const as = (user: string, command: string) => box.run(asUser(user, command));
    const mustAs = async (user: string, command: string): Promise<string> => {
      const { code, stdout, stderr } = await as(user, command);
      expect({ user, command, code, stderr }).toEqual({ user, command, code: 0, stderr: '' });
      return stdout.trim();
    };

    test.each(['dropledger.service', 'dropledger@.service'])(
      'systemd-analyze verify finds nothing in %s',
      async (unit) => {
        expect(await box.run(`systemd-analyze verify ${unit.replace('@', '@any')}`)).toEqual({
          code: 0,
          stdout: '',
          stderr: '',
        });
      },
    );

    test.each(['dropledger.service', 'dropledger@.service'])(
      'the exposure of %s is at most 1.5 of 10',
      async (unit) => {
        const shown = await box.must(`systemd-analyze security --offline=true /usr/lib/systemd/system/${unit}`);
        const [, score] = /Overall exposure level for .*: ([\d.]+)/.exec(shown) ?? [];
        expect(Number(score)).toBeLessThanOrEqual(1.5);
      },
    );

    test('users, groups and folders are made, with the rights that they need', async () => {
      expect(await box.must('id -Gn dropledger')).toBe('dropledger dropledger-drop');
      expect(await box.must('getent passwd dropledger | cut -d: -f6,7')).toBe('/var/lib/dropledger:/usr/sbin/nologin');
      const folders = '/etc/dropledger /var/lib/dropledger /srv/dropledger /srv/dropledger/*';
      expect((await box.must(`stat -c '%a %U:%G %n' ${folders}`)).split('\n')).toEqual([
        '750 root:dropledger /etc/dropledger',
        '700 dropledger:dropledger /var/lib/dropledger',
        '755 root:root /srv/dropledger',
        '2750 dropledger:dropledger-drop /srv/dropledger/archive',
        '2770 dropledger:dropledger-drop /srv/dropledger/inbox',
        '2750 dropledger:dropledger-drop /srv/dropledger/quarantine',
      ]);
      // Applied again, as at every boot and upgrade, nothing changes.
      const state = () => box.must(`stat -c '%a %U:%G %n' ${folders}`);
      const before = await state();
      await box.must('systemd-tmpfiles --create dropledger.conf');
      expect(await state()).toBe(before);
    });

    test('what one of the group drops, the service can read and archive; the group can read it there', async () => {
      await mustAs(
        'alice',
        'umask 022; cd /srv/dropledger/inbox && echo hello > report.csv && mkdir 2026 && echo hi > 2026/a.csv',
      );
      expect(await mustAs('dropledger', 'cd /srv/dropledger && cat inbox/report.csv inbox/2026/a.csv')).toBe(
        'hello\nhi',
      );
      await mustAs('dropledger', 'umask 027; cd /srv/dropledger && mkdir archive/2026 && mv inbox/report.csv archive/');
      await mustAs('dropledger', 'cd /srv/dropledger && mv inbox/2026/a.csv archive/2026/ && rmdir inbox/2026');
      expect(await mustAs('bob', 'cat /srv/dropledger/archive/report.csv /srv/dropledger/archive/2026/a.csv')).toBe(
        'hello\nhi',
      );
    });

    test('people read, but do not change, what others dropped; the service moves it whatever the umask', async () => {
      await mustAs(
        'alice',
        'umask 077; cd /srv/dropledger/inbox && echo mine > alice.csv && mkdir team && echo mine > team/a.csv',
      );
      expect(await mustAs('bob', 'cat /srv/dropledger/inbox/alice.csv')).toBe('mine');
      const denied = { code: 1, stderr: expect.stringContaining('Permission denied') };
      expect(await as('bob', 'echo forged >> /srv/dropledger/inbox/alice.csv')).toMatchObject(denied);
      await mustAs(
        'dropledger',
        'mv /srv/dropledger/inbox/alice.csv /srv/dropledger/inbox/team/a.csv /srv/dropledger/archive/',
      );
      expect(await as('bob', 'echo forged >> /srv/dropledger/archive/alice.csv')).toMatchObject(denied);
      await mustAs('dropledger', 'rm -r /srv/dropledger/inbox/team');
    });

    test('nobody else gets in, and the group changes neither archive nor quarantine', async () => {
      await mustAs('dropledger', 'echo x > /srv/dropledger/quarantine/x; echo x > /srv/dropledger/archive/x');
      for (const command of [
        'ls /srv/dropledger/inbox',
        'ls /srv/dropledger/archive',
        'ls /srv/dropledger/quarantine',
      ]) {
        expect(await as('eve', command), command).toMatchObject({
          code: 2,
          stderr: expect.stringContaining('Permission denied'),
        });
      }
      for (const command of [
        'rm /srv/dropledger/archive/x',
        'touch /srv/dropledger/quarantine/new',
        'cat /etc/dropledger/x',
        'ls /var/lib/dropledger',
      ]) {
        expect(await as('alice', command), command).toMatchObject({
          stderr: expect.stringContaining('Permission denied'),
        });
      }
    });

    /** Runs a script of this folder in place of the daemon, under all else that the unit says; gives its lines. */
    const runUnderUnit = async (script: string): Promise<string[]> => {
      const command = `/opt/dropledger/node_modules/.bin/node /opt/dropledger/test/system/${script}`;
      const dropIn = `[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart=${command}\n`;
      await box.write('/run/systemd/system/dropledger.service.d/test.conf', dropIn);
      const journal = await journalFromNow(box);
      const { stderr } = await box.run('systemctl daemon-reload && systemctl start dropledger');
      const log = await journal('_SYSTEMD_UNIT=dropledger.service');
      expect(stderr, log).toBe('');
      return log.split('\n');
    };

    test('Node runs under all of its restrictions, writes where it must and nowhere else, and can archive', async () => {
      await mustAs('alice', 'echo hello > /srv/dropledger/inbox/probe.txt');
      const [line = ''] = await runUnderUnit('unit-probe.ts');
      expect(JSON.parse(line)).toEqual({
        user: 'dropledger',
        home: '/var/lib/dropledger',
        owner: 'alice',
        archivedInto: '2750',
        writable: ['~/.aws/sso/cache', '/run/dropledger', '/srv/dropledger/inbox', '/tmp'],
        seesCpus: true,
        coreLimit: '0',
        sqlite: 1,
      });
    });

    test('70,000 uploads at once, more than journald takes by default, are all in the journal', async () => {
      const lines = await runUnderUnit('log-burst.ts 70000');
      expect(lines).toEqual(
        Array.from({ length: 70_000 }, (_, n) => `uploaded path="some folder/file ${n}.csv" bytes=${n}`),
      );
    });
  },
);
