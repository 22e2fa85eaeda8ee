import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { ConfigError, messageOf } from '../service/errors.ts';
import { isSocketFolder } from './errors.ts';
import { rdsRoots } from './rds-roots.ts';

export interface LedgerTls {
  readonly host: string;
  /** `off` is for a database on this machine: loopback or a unix socket. */
  readonly tls: 'verify-full' | 'off';
  /** PEM bundle; the RDS roots where it is undefined. */
  readonly caFile: string | undefined;
}

/**
 * What `pg` takes as `ssl`. Host name and chain are always verified.
 * @throws ConfigError where TLS is turned off for another machine, or the CA file can't be used.
 */
export function tlsOptions({ host, tls, caFile }: LedgerTls): ConnectionOptions | false {
  if (tls === 'off') {
    if (isLocal(host)) return false;
    throw new ConfigError(`ledger.tls is "off", but ${host} is not on this machine`, {
      hint: 'Remove ledger.tls: TLS may only be left out on loopback and unix sockets.',
    });
  }
  if (isSocketFolder(host))
    throw new ConfigError(`Postgres speaks no TLS on the unix socket in ${host}`, { hint: 'Set ledger.tls to "off".' });
  return {
    ca: caFile === undefined ? [...rdsRoots().ca] : readBundle(caFile),
    rejectUnauthorized: true, // Said aloud: NODE_TLS_REJECT_UNAUTHORIZED=0 must not turn it off.
    minVersion: 'TLSv1.2',
  };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

function isLocal(host: string): boolean {
  if (isSocketFolder(host) || host === 'localhost') return true;
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

function readBundle(file: string): string {
  try {
    const bundle = readFileSync(file, 'utf8');
    new X509Certificate(bundle); // Reads the first one; OpenSSL would take a file without any in silence.
    return bundle;
  } catch (cause) {
    throw new ConfigError(`ledger.caFile ${file} can't be used: ${messageOf(cause)}`, {
      hint: 'Name a readable file of PEM certificates.',
      cause,
    });
  }
}
