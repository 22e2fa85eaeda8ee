import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../service/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A section of `~/.aws/config` or `~/.aws/credentials`. */
export type Section = Readonly<Record<string, string | undefined>>;

export interface SharedFiles {
  readonly configFile: string;
  readonly credentialsFile: string;
  /** Each profile's keys, those of both files together. */
  readonly profiles: ReadonlyMap<string, Section>;
  readonly ssoSessions: ReadonlyMap<string, Section>;
  /** Which file a profile's `aws_access_key_id` stands in. */
  fileOf(profile: string): string;
}

const home = (env: Environment) => env['HOME'] ?? '/';

/** Read anew each time: people edit them while the daemon runs. Files that are not there are empty. */
export async function readSharedFiles(env: Environment): Promise<SharedFiles> {
  const configFile = env['AWS_CONFIG_FILE'] || join(home(env), '.aws', 'config');
  const credentialsFile = env['AWS_SHARED_CREDENTIALS_FILE'] || join(home(env), '.aws', 'credentials');
  const [config, credentials] = await Promise.all([sectionsOf(configFile), sectionsOf(credentialsFile)]);

  const profiles = new Map<string, Section>();
  const ssoSessions = new Map<string, Section>();
  for (const [name, section] of config) {
    const [kind, label = ''] = name.split(/\s+(.*)/s);
    if (name === 'default') profiles.set(name, section);
    else if (kind === 'profile') profiles.set(label, section);
    else if (kind === 'sso-session') ssoSessions.set(label, section);
  }
  for (const [name, section] of credentials) profiles.set(name, { ...profiles.get(name), ...section });
  return {
    configFile,
    credentialsFile,
    profiles,
    ssoSessions,
    fileOf: (profile) => (credentials.get(profile)?.['aws_access_key_id'] ? credentialsFile : configFile),
  };
}

/** Where the AWS CLI and the SDK keep the tokens of SSO logins. */
export const ssoCacheFolder = (env: Environment): string => join(home(env), '.aws', 'sso', 'cache');

async function sectionsOf(file: string): Promise<Map<string, Section>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return new Map();
    throw error;
  }
  return parseIni(text);
}

/** Nested keys (`s3 =` and the indented lines under it) are left out: nothing here asks for them. */
export function parseIni(text: string): Map<string, Section> {
  const sections = new Map<string, Record<string, string>>();
  let section: Record<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (header !== undefined) {
      const name = header.replaceAll(/["']/g, '').trim();
      section = sections.get(name) ?? {};
      sections.set(name, section);
      continue;
    }
    const [, key, value] = /^([^\s#;=][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (section !== undefined && key !== undefined)
      section[key.toLowerCase()] = (value ?? '').replace(/\s+[#;].*$/, '');
  }
  return sections;
}
