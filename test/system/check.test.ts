import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyNoSystemdBox } from '../support/systemd-box.ts';
import { asUser } from './installed-box.ts';
import { bootServiceBox, defaultConfig, type ServiceBox } from './service-box.ts';

interface Checked {
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly hint?: string;
  }[];
  readonly user: string;
  readonly unit?: string;
}

const reason = whyNoSystemdBox();

describe.skipIf(reason !== undefined)(`check${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let service: ServiceBox;

  beforeAll(async () => {
    service = await bootServiceBox();
  });
  afterAll(() => service?.[Symbol.asyncDispose]());

  const asRoot = async (): Promise<{ code: number; checked: Checked }> => {
    const { code, stdout } = await service.box.run('dropledger check --json');
    return { code, checked: JSON.parse(stdout) };
  };
  const asService = async (): Promise<{ code: number; checked: Checked }> => {
    const { code, stdout } = await service.box.run(
      asUser('dropledger', 'HOME=/var/lib/dropledger dropledger check --json'),
    );
    return { code, checked: JSON.parse(stdout) };
  };
  const wrongOnes = ({ checks }: Checked) => checks.filter(({ ok }) => !ok);
  const known = ({ checks }: Checked) => checks.map(({ name, ok, hint }) => ({ name, ok, hint }));

  test('root and the service user are told the same, each line ✓; only root sees the mounts of the unit', async () => {
    const [root, own] = [await asRoot(), await asService()];
    expect(wrongOnes(root.checked)).toEqual([]);
    expect([root.code, own.code]).toEqual([0, 0]);
    expect(known(root.checked)).toEqual(known(own.checked));
    expect(root.checked).toMatchObject({ user: 'dropledger', unit: 'dropledger.service' });
    const text = await service.box.must('dropledger check');
    expect(text).toMatch(
      /^Looked as dropledger, with the environment, the rights and the mounts of dropledger\.service\.$/m,
    );
    expect(await service.box.must('find /srv/dropledger -type f')).toBe('');
  });

  test('folders that root could use, and the service not: told alike, with the command that mends it', async () => {
    const { box } = service;
    await box.must('chmod 700 /srv/dropledger/archive && chown root: /srv/dropledger/archive');
    const [root, own] = [await asRoot(), await asService()];
    expect([root.code, own.code]).toEqual([78, 78]);
    expect(wrongOnes(root.checked)).toMatchObject([
      { name: 'folders', hint: expect.stringMatching(/^systemd-tmpfiles --create dropledger.conf/) },
    ]);
    expect(known(root.checked)).toEqual(known(own.checked));
    await box.must('systemd-tmpfiles --create dropledger.conf');
    expect((await asRoot()).code).toBe(0);
  });

  test('folders outside of what the unit may write: root is told, by a real rename inside the unit, and what it needs', async () => {
    const { box, configure, config } = service;
    await box.must('install -d -o dropledger -g dropledger /data /data/inbox /data/archive /data/quarantine');
    const { dropFolder } = defaultConfig('/data');
    await configure({ ...config, dropFolder });
    const { code, stdout } = await box.run('dropledger check');
    expect(code).toBe(78);
    expect(stdout).toMatch(/^✗ folders .*read-only/m);
    expect(stdout).toMatch(/\(systemctl edit dropledger\):\n\n\[Service\]\nReadWritePaths=\/data\n/);

    await box.write('/etc/systemd/system/dropledger.service.d/data.conf', '[Service]\nReadWritePaths=/data\n');
    await box.must('systemctl daemon-reload');
    expect(wrongOnes((await asRoot()).checked)).toEqual([]);

    await box.write('/etc/systemd/system/dropledger.service.d/data.conf', '[Service]\nReadWritePaths=/data /missing\n');
    await box.must('systemctl daemon-reload');
    const refused = await asRoot();
    expect(refused.code).toBe(78);
    expect(wrongOnes(refused.checked)[0]).toMatchObject({
      name: 'unit',
      hint: expect.stringMatching(/ReadWritePaths=/),
    });
    await box.must('rm /etc/systemd/system/dropledger.service.d/data.conf; systemctl daemon-reload');
    await configure(config);
  });

  test('a config that others may not read: a person of no group is told to use sudo', async () => {
    const { code, stdout } = await service.box.run(asUser('alice', 'dropledger check'));
    expect(code).toBe(78);
    expect(stdout).toMatch(/^✗ config .*permission denied/m);
    expect(stdout).toMatch(/^The service runs as dropledger: sudo dropledger check/m);
  });

  test("an instance's check looks inside the instance's unit", async () => {
    const { box, config, configure } = service;
    await configure(config, 'north.json');
    const { code, stdout } = await box.run('dropledger check --config /etc/dropledger/north.json');
    expect(stdout).toMatch(/mounts of dropledger@north\.service/);
    expect(stdout).toMatch(/^✓ journal +\/var\/lib\/dropledger-north\/journal\.db/m);
    expect(code).toBe(77); // it has no ~/.aws of its own yet
  });
});
