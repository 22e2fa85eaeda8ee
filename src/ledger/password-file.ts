import { open } from 'node:fs/promises';
import { currentUser } from '../service/current-user.ts';
import { ConfigError, DropledgerError, messageOf } from '../service/errors.ts';

/** Mode bits of those who are neither the owner nor in the file's group. */
const modeOfOthers = 0o007;

/**
 * The password in `file`, without the line break at its end. Read for each login, so a new one needs no restart.
 * @throws ConfigError where it can't be read, is empty, or is open to every user of the machine.
 */
export async function readPassword(file: string): Promise<string> {
  try {
    await using handle = await open(file, 'r');
    const { mode } = await handle.stat();
    if ((mode & modeOfOthers) !== 0)
      throw new ConfigError(`ledger.passwordFile ${file} is open to every user of this machine`, {
        hint: `Run: chmod o= ${file}, and change the password: others may have read it.`,
      });
    const password = (await handle.readFile('utf8')).replace(/\r?\n$/, '');
    if (password === '') throw new ConfigError(`ledger.passwordFile ${file} is empty`);
    return password;
  } catch (cause) {
    if (cause instanceof DropledgerError) throw cause;
    throw new ConfigError(`ledger.passwordFile ${file} can't be read: ${messageOf(cause)}`, {
      hint: `Only the user that dropledger runs as needs to read it: sudo install -m 400 -o ${currentUser()} /dev/stdin ${file}`,
      cause,
    });
  }
}
