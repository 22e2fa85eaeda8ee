import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { whyNoSystemdBox } from '../support/systemd-box.ts';
import { asUser } from './installed-box.ts';
import { bootServiceBox, type ServiceBox } from './service-box.ts';

/** What people see of the installed service: by its control socket, and in journald by fields. */
const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(
  `the service, asked${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let service: ServiceBox;
    beforeAll(async () => {
      service = await bootServiceBox();
      await service.box.must('usermod -aG dropledger bob');
      await service.start();
    });
    afterAll(() => service?.[Symbol.asyncDispose]());

    test('the group of the service may ask; who only drops files is told whom to ask', async () => {
      const { box } = service;
      expect(await box.must('dropledger status')).toContain('● running');
      expect(await box.must(asUser('bob', 'dropledger status'))).toContain('● running');
      expect((await box.must('stat -c "%a %U %G" /run/dropledger/control.sock')).trim()).toBe(
        '660 dropledger dropledger',
      );
      expect((await box.run(asUser('alice', 'dropledger status'))).code).not.toBe(0);
    });

    test('a file is explained, by root as by its path', async () => {
      const { box, drop, expectUploaded } = service;
      await drop('asked.csv', 'a,b');
      await expectUploaded('asked.csv', 'a,b');
      expect(await box.must('dropledger explain /srv/dropledger/archive/asked.csv')).toMatch(
        /^asked\.csv: uploaded and recorded/,
      );
    });

    test('journalctl finds lines by file, event, key and id, each line once, with its priority', async () => {
      const { box, drop, expectUploaded } = service;
      await drop('found by its path.csv', 'x');
      await expectUploaded('found by its path.csv', 'x');
      const find = (match: string) => box.must(`journalctl --sync; journalctl -q -o json ${match}`);
      await vi.waitFor(async () => expect(await find('"DROPLEDGER_PATH=found by its path.csv"')).not.toBe(''));
      const [entry, ...more] = (await find('"DROPLEDGER_PATH=found by its path.csv"')).trim().split('\n');
      expect(more).toEqual([]);
      const fields = JSON.parse(entry ?? '');
      expect(fields).toMatchObject({
        PRIORITY: '6',
        SYSLOG_IDENTIFIER: 'dropledger',
        DROPLEDGER_EVENT: 'uploaded',
        DROPLEDGER_KEY: 'in/found by its path.csv',
        _SYSTEMD_UNIT: 'dropledger.service',
        MESSAGE: expect.stringMatching(/^uploaded path="found by its path\.csv"/),
      });
      const byId = JSON.parse(await find(`DROPLEDGER_ID=${fields['DROPLEDGER_ID']}`));
      expect(byId).toEqual(fields);
      const ofUnit = await box.must('journalctl -q -o cat -u dropledger');
      expect(ofUnit.split('\n').filter((line) => line.includes('found by its path.csv'))).toHaveLength(1);
      expect(await find('DROPLEDGER_EVENT=ready')).toContain('"PRIORITY":"6"');
    });

    test('a burst of a thousand files: each has its line, most of them with fields', async () => {
      const { box } = service;
      await box.must(
        asUser(
          'alice',
          'cd /srv/dropledger/inbox && mkdir burst && for i in $(seq 1000); do echo $i > burst/$i.txt; done',
        ),
      );
      const count = (match: string) =>
        box.must(`journalctl --sync; journalctl -q -o cat ${match} | grep -c "^uploaded path=burst/"`);
      await vi.waitFor(async () => expect((await count('-u dropledger')).trim()).toBe('1000'), {
        timeout: 120_000,
        interval: 500,
      });
      expect(Number(await count('DROPLEDGER_EVENT=uploaded'))).toBeGreaterThan(500);
    });
  },
);
