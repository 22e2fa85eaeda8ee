import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bootSystemdBox, type SystemdBox } from '../support/systemd-box.ts';

export const repository = fileURLToPath(new URL('../..', import.meta.url));

export const unitFile = (name: string): string => readFileSync(`${repository}systemd/${name}`, 'utf8');

/**
 * A box in which dropledger's unit, user, groups and folders are installed as a package would, with the repository as
 * /opt/dropledger. People: `alice` and `bob` may drop files, `eve` may not.
 */
export async function bootInstalledBox(): Promise<SystemdBox> {
  const box = await bootSystemdBox({ readOnly: { '/opt/dropledger': repository } });
  try {
    await box.write('/etc/systemd/system/dropledger.service', unitFile('dropledger.service'));
    await box.write('/etc/sysusers.d/dropledger.conf', unitFile('dropledger.sysusers.conf'));
    await box.write('/etc/tmpfiles.d/dropledger.conf', unitFile('dropledger.tmpfiles.conf'));
    await box.write(
      '/etc/sysusers.d/people.conf',
      'u alice -\nm alice dropledger-drop\nu bob -\nm bob dropledger-drop\nu eve -\n',
    );
    await box.must('systemd-sysusers && systemd-tmpfiles --create dropledger.conf && systemctl daemon-reload');
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
