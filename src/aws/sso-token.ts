import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Environment, ssoCacheFolder } from './shared-files.ts';
import type { CredentialSource } from './source.ts';

export interface SsoToken {
  /** When the access token ends; one of an `sso_session` is refreshed until the portal session ends. */
  readonly expiresAt: Date;
  readonly refreshable: boolean;
  /** When the file was written: by a login, or by a refresh. */
  readonly writtenAt: Date;
}

/** The cached login of an SSO profile; undefined where there is none. Never gives the token itself away. */
export async function readSsoToken(source: CredentialSource, env: Environment): Promise<SsoToken | undefined> {
  const name =
    source.kind === 'sso-session' ? source.session : source.kind === 'sso-legacy' ? source.startUrl : undefined;
  if (name === undefined) return undefined;
  const file = join(ssoCacheFolder(env), `${createHash('sha1').update(name).digest('hex')}.json`);
  try {
    const [text, { mtime }] = await Promise.all([readFile(file, 'utf8'), stat(file)]);
    const token = JSON.parse(text) as { expiresAt?: string; refreshToken?: string };
    const expiresAt = new Date(token.expiresAt ?? Number.NaN);
    if (Number.isNaN(expiresAt.getTime())) return undefined;
    return { expiresAt, refreshable: token.refreshToken !== undefined, writtenAt: mtime };
  } catch {
    return undefined;
  }
}
