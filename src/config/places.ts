import { join } from 'node:path';
import type { Config } from './schema.ts';

/** Where the journal lies: as configured, else where systemd made room for it, else the package's place. */
export function journalPath(config: Config, env: Readonly<Record<string, string | undefined>>): string {
  // systemd separates several directories by a colon; the first one is the unit's own.
  const [stateDirectory = ''] = (env['STATE_DIRECTORY'] ?? '/var/lib/dropledger').split(':');
  return config.journal.path ?? join(stateDirectory, 'journal.db');
}

/** The ledger's database and how to log in to it. */
export const ledgerTarget = ({ ledger, s3 }: Config) => ({
  host: ledger.host,
  port: ledger.port,
  database: ledger.database,
  user: ledger.user,
  region: ledger.region ?? s3.region,
  auth: ledger.auth,
  passwordFile: ledger.passwordFile,
  caFile: ledger.caFile,
  tls: ledger.tls,
});
