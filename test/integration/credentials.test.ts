import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type CredentialsOptions, createCredentials } from '../../src/aws/credentials.ts';
import { CredentialsError, ServiceUnavailable } from '../../src/service/errors.ts';
import { createNetwork } from '../../src/service/network.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'dropledger-home-'));
  // the SDK reads the environment of the process: nothing of the machine's may have a say
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  vi.stubEnv('HOME', home);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

async function credentialsWith(options: Partial<CredentialsOptions> = {}) {
  const network = await createNetwork({ env: {}, connectTimeoutMs: 1_000, stallMs: 2_000 });
  onTestFinished(() => network[Symbol.asyncDispose]());
  return createCredentials({ ssoSessionHours: 8, env: process.env, network, ...options });
}

async function writeHome(path: string, text: string): Promise<void> {
  await mkdir(join(home, path, '..'), { recursive: true });
  await writeFile(join(home, path), text);
}

interface StubAnswer {
  readonly status?: number;
  readonly body: string;
}

/** A service of AWS as far as a test needs it, on loopback. */
async function startStub(answer: (request: IncomingMessage, body: string) => StubAnswer): Promise<string> {
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request)).toString();
    const { status = 200, body: text } = answer(request, body);
    response.writeHead(status, { 'content-type': text.startsWith('<') ? 'text/xml' : 'application/json' }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Nothing listens on port 1. */
const nobody = 'http://127.0.0.1:1';
const inAnHour = () => new Date(Date.now() + 3_600_000);
const thrownBy = (promise: Promise<unknown>) => promise.then(() => undefined).catch((error: unknown) => error as Error);

describe('keys', () => {
  it('of the environment are used', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKENV');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    const credentials = await credentialsWith();
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKENV' });
    expect(await credentials.state()).toMatchObject({
      source: { kind: 'environment' },
      renewsItself: false,
      endsAt: null,
    });
  });

  it('that are nowhere are missed with a hint, at once', async () => {
    const error = await thrownBy((await credentialsWith()).provider());
    expect(error).toBeInstanceOf(CredentialsError);
    expect(error).toMatchObject({ hint: expect.stringContaining('aws configure') });
  });

  it('of a profile that is not there are missed by its name', async () => {
    const error = await thrownBy((await credentialsWith({ profile: 'backup' })).provider());
    expect(error).toBeInstanceOf(CredentialsError);
    expect(error?.message).toContain('profile backup');
  });

  it('that somebody changes are picked up with no restart', async () => {
    const credentials = await credentialsWith({ profile: 'backup' });
    await expect(credentials.refresh()).rejects.toBeInstanceOf(CredentialsError);
    const write = (id: string) =>
      writeHome('.aws/credentials', `[backup]\naws_access_key_id = ${id}\naws_secret_access_key = s\n`);
    await write('AKOLD');
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKOLD' });
    await write('AKNEW');
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKOLD' });
    await credentials.refresh();
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKNEW' });
    expect((await credentials.state()).description).toBe(
      `static keys of profile backup in ${join(home, '.aws/credentials')}`,
    );
  });
});

describe('a credential_process', () => {
  const process1 = (json: object) => `[default]\ncredential_process = echo '${JSON.stringify(json)}'\n`;

  it('gives credentials that end and are renewed before', async () => {
    const soon = { Version: 1, AccessKeyId: 'AK1', SecretAccessKey: 's', Expiration: new Date(Date.now() + 60_000) };
    await writeHome('.aws/config', process1(soon));
    const credentials = await credentialsWith();
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AK1' });
    await writeHome('.aws/config', process1({ ...soon, AccessKeyId: 'AK2', Expiration: inAnHour() }));
    // under five minutes left: they are still given out while new ones are fetched
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AK1' });
    await expect.poll(async () => (await credentials.provider()).accessKeyId).toBe('AK2');
  });

  it('that fails while the old ones hold harms nobody', async () => {
    const soon = { Version: 1, AccessKeyId: 'AK1', SecretAccessKey: 's', Expiration: new Date(Date.now() + 60_000) };
    await writeHome('.aws/config', process1(soon));
    const credentials = await credentialsWith();
    await credentials.provider();
    await writeHome('.aws/config', '[default]\ncredential_process = false\n');
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AK1' });
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AK1' });
  });

  it('that fails is waited for: nobody answered', async () => {
    await writeHome('.aws/config', '[default]\ncredential_process = false\n');
    const error = await thrownBy((await credentialsWith()).provider());
    expect(error).toBeInstanceOf(ServiceUnavailable);
    expect(error).toMatchObject({ service: 'credentials', message: expect.stringContaining('credential_process') });
  });
});

describe('SSO', () => {
  async function profileWith(token: object | undefined, kind: 'session' | 'legacy' = 'session'): Promise<string> {
    // the SDK remembers by the session's name when it last tried
    const session = `session-${randomBytes(4).toString('hex')}`;
    const startUrl = `https://example.awsapps.com/${session}`;
    const account = 'sso_account_id = 123456789012\nsso_role_name = Uploader\n';
    await writeHome(
      '.aws/config',
      kind === 'session'
        ? `[profile work]\nsso_session = ${session}\n${account}\n[sso-session ${session}]\nsso_start_url = ${startUrl}\nsso_region = eu-central-1\n`
        : `[profile work]\nsso_start_url = ${startUrl}\nsso_region = eu-central-1\n${account}`,
    );
    const name = createHash('sha1')
      .update(kind === 'session' ? session : startUrl)
      .digest('hex');
    if (token !== undefined) await writeHome(`.aws/sso/cache/${name}.json`, JSON.stringify(token));
    return `.aws/sso/cache/${name}.json`;
  }
  const login = (expiresAt: Date) => ({
    accessToken: 'portal-token',
    expiresAt,
    refreshToken: 'refresh-token',
    clientId: 'client',
    clientSecret: 'client-secret',
    registrationExpiresAt: inAnHour(),
  });
  const roleCredentials = () => ({
    body: JSON.stringify({
      roleCredentials: {
        accessKeyId: 'AKSSO',
        secretAccessKey: 's',
        sessionToken: 't',
        expiration: inAnHour().getTime(),
      },
    }),
  });
  const over = new Date(Date.now() - 1_000);

  it('gives credentials, and an estimate of when somebody must log in again', async () => {
    await profileWith(login(inAnHour()));
    vi.stubEnv('AWS_ENDPOINT_URL_SSO', await startStub(roleCredentials));
    const credentials = await credentialsWith({ profile: 'work' });
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKSSO' });
    const { endsAt, endIsEstimate, renewsItself } = await credentials.state();
    expect({ endIsEstimate, renewsItself }).toEqual({ endIsEstimate: true, renewsItself: true });
    expect((endsAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(7.9 * 3_600_000);
  });

  it('without a login names the command, and finds the login once it is there', async () => {
    const file = await profileWith(undefined);
    vi.stubEnv('AWS_ENDPOINT_URL_SSO', await startStub(roleCredentials));
    const credentials = await credentialsWith({ profile: 'work' });
    const error = await thrownBy(credentials.provider());
    expect(error).toBeInstanceOf(CredentialsError);
    expect(error).toMatchObject({
      hint: expect.stringContaining('aws sso login --use-device-code --profile work'),
    });
    await writeHome(file, JSON.stringify(login(inAnHour())));
    await credentials.refresh();
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKSSO' });
  });

  it('whose session has ended, as AWS says, needs a person', async () => {
    await profileWith(login(over));
    const refusal = { status: 400, body: '{"error":"invalid_grant","error_description":"Invalid refresh token"}' };
    vi.stubEnv('AWS_ENDPOINT_URL_SSO_OIDC', await startStub(() => refusal));
    const credentials = await credentialsWith({ profile: 'work' });
    expect(await thrownBy(credentials.provider())).toBeInstanceOf(CredentialsError);
    // the SDK does not ask again for 30 s: it is no less refused
    expect(await thrownBy(credentials.provider())).toBeInstanceOf(CredentialsError);
  });

  it('whose refresh finds no network is waited for', async () => {
    await profileWith(login(over));
    vi.stubEnv('AWS_ENDPOINT_URL_SSO_OIDC', nobody);
    const credentials = await credentialsWith({ profile: 'work' });
    expect(await thrownBy(credentials.provider())).toBeInstanceOf(ServiceUnavailable);
    expect(await thrownBy(credentials.provider())).toBeInstanceOf(ServiceUnavailable);
  });

  it('whose portal finds no network is waited for', async () => {
    await profileWith(login(inAnHour()));
    vi.stubEnv('AWS_ENDPOINT_URL_SSO', nobody);
    expect(await thrownBy((await credentialsWith({ profile: 'work' })).provider())).toBeInstanceOf(ServiceUnavailable);
  });

  it('whose portal refuses the role needs a person', async () => {
    await profileWith(login(inAnHour()));
    const refusal = { status: 403, body: '{"message":"No access"}' };
    vi.stubEnv('AWS_ENDPOINT_URL_SSO', await startStub(() => refusal));
    expect(await thrownBy((await credentialsWith({ profile: 'work' })).provider())).toBeInstanceOf(CredentialsError);
  });

  it('without sso_session ends for certain when its token does', async () => {
    const expiresAt = inAnHour();
    const file = await profileWith({ accessToken: 'portal-token', expiresAt }, 'legacy');
    vi.stubEnv('AWS_ENDPOINT_URL_SSO', await startStub(roleCredentials));
    const credentials = await credentialsWith({ profile: 'work' });
    await credentials.provider();
    expect(await credentials.state()).toMatchObject({ endsAt: expiresAt, endIsEstimate: false, renewsItself: false });
    await writeHome(file, JSON.stringify({ accessToken: 'portal-token', expiresAt: over }));
    await expect(credentials.refresh()).rejects.toBeInstanceOf(CredentialsError);
  });
});

describe('a machine of EC2', () => {
  const role = { Code: 'Success', AccessKeyId: 'AKEC2', SecretAccessKey: 's', Token: 't', Type: 'AWS-HMAC' };

  async function metadata(answer: (path: string) => StubAnswer) {
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', undefined);
    vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', await startStub(({ url = '' }) => answer(url)));
    return await credentialsWith();
  }

  it('has those of its role', async () => {
    const credentials = await metadata((path) => {
      if (path.endsWith('/api/token')) return { body: 'imds-token' };
      if (path.endsWith('/security-credentials/')) return { body: 'uploader' };
      return { body: JSON.stringify({ ...role, Expiration: inAnHour() }) };
    });
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKEC2' });
    expect(await credentials.state()).toMatchObject({ source: { kind: 'ec2' }, renewsItself: true, endsAt: null });
  });

  it('without a role is told to get one', async () => {
    const credentials = await metadata((path) =>
      path.endsWith('/api/token') ? { body: 'imds-token' } : { status: 404, body: '' },
    );
    const error = await thrownBy(credentials.provider());
    expect(error).toBeInstanceOf(CredentialsError);
    expect(error).toMatchObject({ hint: expect.stringContaining('instance role') });
  });

  it('whose metadata service does not answer yet is waited for', async () => {
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', undefined);
    vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', nobody);
    expect(await thrownBy((await credentialsWith()).provider())).toBeInstanceOf(ServiceUnavailable);
  });
});

describe('a container', () => {
  it('has those of its role', async () => {
    const body = JSON.stringify({ AccessKeyId: 'AKECS', SecretAccessKey: 's', Token: 't', Expiration: inAnHour() });
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', await startStub(() => ({ body })));
    const credentials = await credentialsWith();
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKECS' });
    expect(await credentials.state()).toMatchObject({ source: { kind: 'container' } });
  });
});

describe('a role', () => {
  const assumed = () =>
    `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>AKROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${inAnHour().toISOString()}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;
  const denied =
    '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>';
  const roleArn = 'arn:aws:iam::123456789012:role/uploader';

  beforeEach(() => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKENV');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  });

  it('is assumed', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', await startStub(() => ({ body: assumed() })));
    const credentials = await credentialsWith({ roleArn });
    expect(await credentials.provider()).toMatchObject({ accessKeyId: 'AKROLE' });
    expect((await credentials.state()).description).toContain(roleArn);
  });

  it('that may not be assumed needs a person', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', await startStub(() => ({ status: 403, body: denied })));
    expect(await thrownBy((await credentialsWith({ roleArn })).provider())).toBeInstanceOf(CredentialsError);
  });

  it('is waited for where STS is away', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', nobody);
    expect(await thrownBy((await credentialsWith({ roleArn })).provider())).toBeInstanceOf(ServiceUnavailable);
  });
});

describe('who the caller is', () => {
  const identity =
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/up</Arn><UserId>U</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>';
  const error = (code: string) =>
    `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>because</Message></Error></ErrorResponse>`;

  beforeEach(() => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKENV');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  });

  it('is told by STS, once', async () => {
    let asked = 0;
    const stub = await startStub(() => {
      asked += 1;
      return { body: identity };
    });
    vi.stubEnv('AWS_ENDPOINT_URL_STS', stub);
    const credentials = await credentialsWith();
    const expected = { arn: 'arn:aws:iam::123456789012:user/up', account: '123456789012' };
    expect(await credentials.identity()).toEqual(expected);
    expect(await credentials.identity()).toEqual(expected);
    expect(asked).toBe(1);
  });

  it('is not asked of a store that is not AWS', async () => {
    expect(await (await credentialsWith({ s3Endpoint: 'https://s3.example.com' })).identity()).toBeNull();
  });

  it.each(['InvalidClientTokenId', 'SignatureDoesNotMatch', 'ExpiredToken'])('is refused: %s', async (code) => {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', await startStub(() => ({ status: 403, body: error(code) })));
    const thrown = await thrownBy((await credentialsWith()).identity());
    expect(thrown).toBeInstanceOf(CredentialsError);
    expect(thrown?.message).toContain('the environment');
  });

  it.each([
    ['is not reached', () => Promise.resolve(nobody)],
    ['is asked too often', () => startStub(() => ({ status: 400, body: error('Throttling') }))],
    ['is out of order', () => startStub(() => ({ status: 503, body: error('ServiceUnavailable') }))],
  ])('stays open while STS %s', async (_, start) => {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', await start());
    expect(await thrownBy((await credentialsWith()).identity())).toBeInstanceOf(ServiceUnavailable);
  });
});
