import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { whyNoSystemdBox } from '../support/systemd-box.ts';
import { asUser } from './installed-box.ts';
import { bootServiceBox, type ServiceBox } from './service-box.ts';

/** The folders as people use them, and the unit's mounts over them. */
const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(`the folders${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let service: ServiceBox;

  beforeAll(async () => {
    service = await bootServiceBox();
  });
  beforeEach(() => service.beginTest());
  afterAll(() => service?.[Symbol.asyncDispose]());

  test('an inbox that is renamed away and made anew is taken up, and archiving goes on', async () => {
    const { box, config, configure, start, drop, expectUploaded } = service;
    await configure({ ...config, dropFolder: { ...config.dropFolder, rescanSeconds: 1 } });
    await start();
    await drop('before.csv', 'b');
    await expectUploaded('before.csv', 'b');
    await box.must('mv /srv/dropledger/inbox /srv/dropledger/inbox.old && systemd-tmpfiles --create dropledger.conf');
    await drop('after.csv', 'a');
    await expectUploaded('after.csv', 'a');
  });

  test('a subfolder that its maker closed: uploaded, recorded, said once, and left; with the drop-in it is moved', async () => {
    const { box, start, ownLines, rowsOf, expectUploaded } = service;
    await start();
    await box.must(
      asUser(
        'alice',
        'cd /srv/dropledger/inbox && mkdir -m 755 mine && for n in 1 2; do echo -n m > mine/$n.csv; done',
      ),
    );
    await vi.waitFor(async () => expect(await ownLines('warning')).toHaveLength(1), { timeout: 30_000, interval: 100 });
    expect((await ownLines('warning'))[0]).toMatch(/^not-movable .* folder=mine example=mine\/\d.csv .*hint=/);
    await vi.waitFor(async () => expect(await rowsOf('mine/2.csv')).toHaveLength(1), {
      timeout: 30_000,
      interval: 100,
    });
    await box.must('test -e /srv/dropledger/inbox/mine/1.csv -a -e /srv/dropledger/inbox/mine/2.csv');

    const dropIn = '/etc/systemd/system/dropledger.service.d/shared-folders.conf';
    await box.must(`install -D -m 644 /usr/share/dropledger/shared-folders.conf ${dropIn}`);
    await box.must('systemctl daemon-reload && systemctl restart dropledger');
    await expectUploaded('mine/1.csv', 'm');
    await expectUploaded('mine/2.csv', 'm');
    expect(await rowsOf('mine/1.csv')).toHaveLength(1);
    expect(await box.run('systemd-analyze verify dropledger.service')).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});
