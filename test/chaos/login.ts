/** The writer's credentials: how the daemon gets them, and what can happen to them. */
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { LocalStore, StoreKeys } from '../support/daemon-store.ts';
import type { Settings } from './plan.ts';

export interface Login extends AsyncDisposable {
  /** For the daemon. */
  readonly env: Readonly<Record<string, string>>;
  /** As an administrator does: a new login is made, handed out, and the old one taken away. */
  renew(): Promise<void>;
  /** The store does not know it any more. */
  revoke(): void;
  /** The store knows that it has ended. */
  expire(): void;
  /** Half of it is there. */
  spoil(): Promise<void>;
  /** Nothing is there. */
  hide(): Promise<void>;
  /** What was spoilt or hidden is there again. */
  show(): Promise<void>;
  /** What must stand in no log. */
  secrets(): string[];
}

/** A session of the agent's lasts so long; with less left than that it is replaced when somebody asks. */
const sessionMs = 60_000;
const renewedMs = 20_000;

interface Keys extends StoreKeys {
  readonly sessionToken?: string;
  /** Milliseconds since 1970. */
  readonly endsAt: number;
}

interface LoginOptions {
  readonly kind: Settings['login'];
  readonly store: LocalStore;
  /** HOME of the daemon. */
  readonly home: string;
}

export async function createLogin({ kind, store, home }: LoginOptions): Promise<Login> {
  const secrets: string[] = [];
  const expired = new Set<string>();
  let logins = 0;

  const create = (): Keys => {
    logins += 1;
    const keys: Keys = {
      accessKeyId: `${kind === 'key' ? 'AKIA' : 'ASIA'}CHAOS${logins}`,
      secretAccessKey: `chaos-secret-${logins}`,
      ...(kind !== 'key' && { sessionToken: `chaos-token-${logins}` }),
      endsAt: kind === 'agent' ? Date.now() + sessionMs : Number.POSITIVE_INFINITY,
    };
    secrets.push(keys.secretAccessKey, ...(keys.sessionToken === undefined ? [] : [keys.sessionToken]));
    const { endsAt, ...known } = keys;
    store.credentials.push({
      ...known,
      role: 'write-only',
      prefix: store.prefix,
      get expired() {
        return Date.now() > endsAt || expired.has(known.accessKeyId);
      },
    });
    return keys;
  };
  const forget = (id: string): void => {
    const at = store.credentials.findIndex(({ accessKeyId }) => accessKeyId === id);
    if (at !== -1) store.credentials.splice(at, 1);
  };

  forget(store.writer.accessKeyId);
  let keys = create();
  const place = kind === 'agent' ? await startAgent(current) : inFile(join(home, '.aws/credentials'));

  function current(): Keys {
    if (keys.endsAt - Date.now() < renewedMs) keys = create(); // the old one ends by itself
    return keys;
  }

  await place.show(keys);
  return {
    env: place.env,
    async renew() {
      const old = keys.accessKeyId;
      keys = create();
      await place.show(keys);
      if (kind === 'key') forget(old);
      else expired.add(old);
    },
    revoke: () => forget(keys.accessKeyId),
    expire: () => void expired.add(keys.accessKeyId),
    spoil: () => place.spoil(keys),
    hide: place.hide,
    show: () => place.show(keys),
    secrets: () => secrets,
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

/** Where the daemon finds the keys. */
interface Place extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  show(keys: Keys): Promise<void>;
  spoil(keys: Keys): Promise<void>;
  hide(): Promise<void>;
}

function inFile(path: string): Place {
  const text = ({ accessKeyId, secretAccessKey, sessionToken }: Keys) =>
    [
      '[default]',
      `aws_access_key_id = ${accessKeyId}`,
      ...(sessionToken === undefined ? [] : [`aws_session_token = ${sessionToken}`]),
      `aws_secret_access_key = ${secretAccessKey}`,
      '',
    ].join('\n');
  return {
    env: {},
    show: (keys) => writeFile(path, text(keys), { mode: 0o600 }),
    spoil: (keys) => writeFile(path, text(keys).slice(0, text(keys).indexOf('aws_secret') + 7)),
    hide: () => rm(path),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** As the agent of a container. */
async function startAgent(current: () => Keys): Promise<Place> {
  let answer: 'keys' | 'half of them' | 'an error' = 'keys';
  const server = createServer((_request, response) => {
    const { accessKeyId, secretAccessKey, sessionToken, endsAt } = current();
    const Expiration = new Date(endsAt).toISOString();
    const text = JSON.stringify({
      ...{ AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration },
    });
    if (answer === 'an error') response.writeHead(500).end('{"message":"no role"}');
    else response.end(answer === 'keys' ? text : text.slice(0, text.length / 2));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    env: {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/role`,
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
    },
    async show() {
      answer = 'keys';
    },
    async spoil() {
      answer = 'half of them';
    },
    async hide() {
      answer = 'an error';
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
