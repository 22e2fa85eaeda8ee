import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A server's certificate and key, as PEM and as files (the key's is 0600). */
export interface TestCertificate {
  /** The authority that signed it. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TestCa {
  /** What clients have to trust, as PEM and as a file. */
  readonly cert: string;
  readonly certFile: string;
  /** For servers of these names and IP addresses; the first is the common name. */
  issue(...names: [string, ...string[]]): Promise<TestCertificate>;
  /** The same, and it ended yesterday. */
  issueExpired(...names: [string, ...string[]]): Promise<TestCertificate>;
}

/**
 * A certificate authority that nobody trusts by itself, made by the `openssl` program in `directory` (created if it is
 * missing). Everything is valid from now on for two days.
 */
export async function createTestCa(directory: string, commonName = 'dropledger test CA'): Promise<TestCa> {
  await mkdir(directory, { recursive: true });
  const certFile = join(directory, 'ca.crt');
  const keyFile = join(directory, 'ca.key');
  await openssl(
    ['req', '-x509', '-new', ...newKey(keyFile), '-subj', `/CN=${commonName}`, '-days', '2', '-out', certFile],
    ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
  );
  const cert = await readFile(certFile, 'utf8');
  const authority = { cert, certFile, keyFile };
  return {
    ...{ cert, certFile },
    issue: (...names) => issue(directory, authority, names, 2),
    issueExpired: (...names) => issue(directory, authority, names, -1),
  };
}

async function issue(
  directory: string,
  ca: { readonly cert: string; readonly certFile: string; readonly keyFile: string },
  names: readonly [string, ...string[]],
  days: number,
): Promise<TestCertificate> {
  const base = join(directory, `server-${randomBytes(4).toString('hex')}`);
  const certFile = `${base}.crt`;
  const keyFile = `${base}.key`;
  const requestFile = `${base}.csr`;
  const extensionsFile = `${base}.ext`;
  const alternatives = names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  await writeFile(
    extensionsFile,
    `basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=${alternatives}\n`,
  );
  await openssl(['req', '-new', ...newKey(keyFile), '-subj', `/CN=${names[0]}`, '-out', requestFile]);
  await openssl(
    [
      'x509',
      '-req',
      '-in',
      requestFile,
      '-CA',
      ca.certFile,
      '-CAkey',
      ca.keyFile,
      '-days',
      String(days),
      '-out',
      certFile,
    ],
    ['-set_serial', `0x01${randomBytes(15).toString('hex')}`, '-extfile', extensionsFile],
  );
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
  return { ca: ca.cert, cert, key, certFile, keyFile };
}

/** `openssl req` creates key files for their owner alone. */
const newKey = (file: string) => [
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:prime256v1',
  '-noenc',
  '-keyout',
  file,
];

/** No configuration of the machine has a say in it. */
async function openssl(...args: readonly string[][]): Promise<void> {
  await run('openssl', args.flat(), { env: { ...process.env, OPENSSL_CONF: '/dev/null' } });
}
