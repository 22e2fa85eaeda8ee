import { userInfo } from 'node:os';

/** Who we are, for people and for commands that they copy: the name, or the number where it has none. */
export function currentUser(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'nobody');
  }
}
