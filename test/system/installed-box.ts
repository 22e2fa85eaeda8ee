import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { debFolder, debInBox, debsInBox } from '../support/built-packages.ts';
import { bootSystemdBox, type SystemdBox } from '../support/systemd-box.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** What the package depends on, as far as the box's dpkg must know of it; the files are the host's. */
const dependencies = 'libc6 libstdc++6 systemd';

/**
 * A box in which dropledger is installed by its .deb. The repository is at /opt/dropledger, for what tests run beside
 * it. People: `alice` and `bob` may drop files, `eve` may not.
 */
export async function bootInstalledBox(): Promise<SystemdBox> {
  const box = await bootEmptyBox();
  try {
    await box.must(`dpkg -i ${debInBox(inject('debs').current)}`);
    await box.write(
      '/etc/sysusers.d/people.conf',
      'u alice -\nm alice dropledger-drop\nu bob -\nm bob dropledger-drop\nu eve -\n',
    );
    await box.must('systemd-sysusers');
    return box;
  } catch (error) {
    await box[Symbol.asyncDispose]();
    throw error;
  }
}

/** A box into which packages can be installed by dpkg. */
export async function bootEmptyBox(): Promise<SystemdBox> {
  const box = await bootSystemdBox({
    readOnly: {
      '/opt/dropledger': repository,
      [debsInBox]: debFolder(inject('debs')),
      '/opt/host-dpkg': '/var/lib/dpkg',
    },
  });
  try {
    await box.must(`mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/log && cd /var/lib/dpkg
      touch available && dpkg-query --admindir=/opt/host-dpkg -s ${dependencies} > status
      for name in ${dependencies}; do touch info/$name.list info/$name:$(dpkg --print-architecture).list; done`);
    return box;
  } catch (error) {
    await box[Symbol.asyncDispose]();
    throw error;
  }
}

/** A bash command line, without single quotes, that runs as another user with all groups of that user. */
export const asUser = (user: string, command: string): string =>
  `setpriv --reuid ${user} --regid ${user} --init-groups bash -c '${command}'`;

/** The journal from now on: a function that gives what was written since, by the `journalctl` matches and options given. */
export async function journalFromNow(box: SystemdBox): Promise<(options: string) => Promise<string>> {
  // Not by --after-cursor: with matches, systemd 252 leaves out the first entry.
  const since = await box.must('date +@%s.%6N');
  return (options) => box.must(`journalctl --sync && journalctl -q -o cat --since=${since} ${options}`);
}
