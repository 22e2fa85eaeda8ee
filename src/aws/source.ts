import { readFile } from 'node:fs/promises';
import { type Environment, readSharedFiles, type Section, type SharedFiles } from './shared-files.ts';

/** Where credentials come from, as far as the configuration tells before anybody is asked. */
export type CredentialSource =
  | { readonly kind: 'environment' }
  | { readonly kind: 'keys'; readonly profile: string; readonly file: string; readonly temporary: boolean }
  | { readonly kind: 'sso-session'; readonly profile: string; readonly session: string; readonly file: string }
  | { readonly kind: 'sso-legacy'; readonly profile: string; readonly startUrl: string; readonly file: string }
  | { readonly kind: 'process'; readonly profile: string; readonly file: string; readonly rolesAnywhere: boolean }
  | { readonly kind: 'assume-role'; readonly profile: string; readonly roleArn: string; readonly via: string }
  | { readonly kind: 'web-identity'; readonly tokenFile: string }
  | { readonly kind: 'login'; readonly profile: string; readonly file: string }
  | { readonly kind: 'container' }
  | { readonly kind: 'ec2' }
  /** `profile`: it was asked for by name and is in neither file. */
  | { readonly kind: 'none'; readonly profile: string | undefined; readonly files: string };

/** Follows the order of the SDK's own chain. Throws where a shared file is there but can't be read. */
export async function findSource(env: Environment, configuredProfile: string | undefined): Promise<CredentialSource> {
  const named = configuredProfile ?? (env['AWS_PROFILE'] || undefined);
  if (named === undefined && env['AWS_ACCESS_KEY_ID'] && env['AWS_SECRET_ACCESS_KEY']) return { kind: 'environment' };
  const files = await readSharedFiles(env);
  const profile = named ?? 'default';
  const section = files.profiles.get(profile);
  const fromProfile = section === undefined ? undefined : sourceOfProfile(profile, section, files);
  if (fromProfile !== undefined) return fromProfile;
  const tokenFile = env['AWS_WEB_IDENTITY_TOKEN_FILE'];
  if (tokenFile) return { kind: 'web-identity', tokenFile };
  if (env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'] || env['AWS_CONTAINER_CREDENTIALS_FULL_URI']) {
    return { kind: 'container' };
  }
  if (named === undefined && (await isEc2(env))) return { kind: 'ec2' };
  return { kind: 'none', profile: named, files: `${files.credentialsFile}, ${files.configFile}` };
}

function sourceOfProfile(profile: string, section: Section, files: SharedFiles): CredentialSource | undefined {
  const roleArn = section['role_arn'];
  const via = section['source_profile'] ?? section['credential_source'];
  if (roleArn !== undefined && via !== undefined) return { kind: 'assume-role', profile, roleArn, via };
  if (section['aws_access_key_id'] && section['aws_secret_access_key']) {
    return {
      kind: 'keys',
      profile,
      file: files.fileOf(profile),
      temporary: section['aws_session_token'] !== undefined,
    };
  }
  const tokenFile = section['web_identity_token_file'];
  if (tokenFile !== undefined && roleArn !== undefined) return { kind: 'web-identity', tokenFile };
  const file = files.configFile;
  const command = section['credential_process'];
  if (command !== undefined) {
    return { kind: 'process', profile, file, rolesAnywhere: command.includes('aws_signing_helper') };
  }
  const session = section['sso_session'];
  if (session !== undefined) return { kind: 'sso-session', profile, session, file };
  const startUrl = section['sso_start_url'];
  if (startUrl !== undefined) return { kind: 'sso-legacy', profile, startUrl, file };
  if (section['login_session'] !== undefined) return { kind: 'login', profile, file };
  return undefined;
}

/** By what the machine says of itself, not by asking the metadata service: elsewhere that takes seconds to fail. */
async function isEc2(env: Environment): Promise<boolean> {
  const disabled = env['AWS_EC2_METADATA_DISABLED'];
  if (disabled !== undefined && disabled !== '' && disabled !== 'false') return false;
  if (env['AWS_EC2_METADATA_SERVICE_ENDPOINT']) return true;
  const facts = await Promise.all(
    ['/sys/class/dmi/id/sys_vendor', '/sys/class/dmi/id/board_vendor', '/sys/hypervisor/uuid'].map((file) =>
      readFile(file, 'utf8').catch(() => ''),
    ),
  );
  return facts.some((fact) => /^(amazon ec2|ec2)/i.test(fact.trim()));
}

/** For people: `static keys of profile backup in /root/.aws/credentials`. */
export function describeSource(source: CredentialSource): string {
  switch (source.kind) {
    case 'environment':
      return 'the environment (AWS_ACCESS_KEY_ID)';
    case 'keys':
      return `${source.temporary ? 'temporary' : 'static'} keys of profile ${source.profile} in ${source.file}`;
    case 'sso-session':
      return `SSO session ${source.session}, profile ${source.profile} of ${source.file}`;
    case 'sso-legacy':
      return `SSO at ${source.startUrl} (without sso_session), profile ${source.profile} of ${source.file}`;
    case 'process':
      return `${source.rolesAnywhere ? 'IAM Roles Anywhere' : 'credential_process'}, profile ${source.profile} of ${source.file}`;
    case 'assume-role':
      return `role ${source.roleArn} by ${source.via}, profile ${source.profile}`;
    case 'web-identity':
      return `web identity token ${source.tokenFile}`;
    case 'login':
      return `aws login, profile ${source.profile} of ${source.file}`;
    case 'container':
      return 'the role of the container';
    case 'ec2':
      return 'the instance role of this EC2 machine';
    case 'none':
      return source.profile === undefined
        ? `none in the environment, none in ${source.files}; this is neither EC2 nor a container`
        : `profile ${source.profile}, which is in none of ${source.files}`;
  }
}

/** The one sentence that mends what is wrong with it. */
export function mendingOf(source: CredentialSource): string {
  switch (source.kind) {
    case 'environment':
      return 'Set valid keys in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) and restart the daemon.';
    case 'keys':
      return `Run: aws configure --profile ${source.profile} (as the user the daemon runs as).`;
    case 'sso-session':
    case 'sso-legacy':
      return `Run: aws sso login --use-device-code --profile ${source.profile} (as the user the daemon runs as).`;
    case 'process':
      return `Run the credential_process of profile ${source.profile} by hand to see what it says.`;
    case 'assume-role':
      return `Let ${source.via} assume ${source.roleArn}: look at the role's trust policy.`;
    case 'web-identity':
      return "Look at the role's trust policy and at the service account's annotation.";
    case 'login':
      return `Run: aws login --profile ${source.profile} (as the user the daemon runs as).`;
    case 'container':
      return 'Give the task or pod a role.';
    case 'ec2':
      return 'Attach an instance role to this EC2 machine.';
    case 'none':
      return source.profile === undefined
        ? 'Run: aws configure sso, or aws configure (as the user the daemon runs as), or attach an instance role.'
        : `Run: aws configure sso --profile ${source.profile}, or correct aws.profile or AWS_PROFILE.`;
  }
}

/** Whether the SDK gets new credentials by itself when these end, with nobody's help. */
export function renewsItself(source: CredentialSource): boolean {
  switch (source.kind) {
    case 'environment':
    case 'keys':
    case 'sso-legacy':
    case 'none':
      return false;
    default:
      return true;
  }
}
