import { basename, dirname, join } from 'node:path';
import type { Config } from './schema.ts';

/** Where the journal lies: as configured, else where systemd made room for it, else the package's place. */
export function journalPath(config: Config, env: Readonly<Record<string, string | undefined>>): string {
  return config.journal.path ?? join(firstOf(env['STATE_DIRECTORY']) ?? '/var/lib/dropledger', 'journal.db');
}

/** Where the daemon listens for `status`, `explain` and `retry`, and these look for it. */
export function controlSocket(config: Config, env: Readonly<Record<string, string | undefined>>): string {
  return config.control.socket ?? join(firstOf(env['RUNTIME_DIRECTORY']) ?? '/run/dropledger', 'control.sock');
}

/** systemd separates several directories by a colon; the first one is the unit's own. */
const firstOf = (directories: string | undefined): string | undefined => directories?.split(':')[0];

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

/** /etc/dropledger/NAME.json is that of dropledger@NAME.service. */
export function instanceOf(configFile: string): string | undefined {
  const name = basename(configFile, '.json');
  return dirname(configFile) === '/etc/dropledger' && name !== 'config' ? name : undefined;
}

/** What the unit tells the daemon of such an instance, for commands in a shell that look for the same places and rows. */
export function environmentOfInstance(configFile: string): Record<string, string> {
  const instance = instanceOf(configFile);
  if (instance === undefined) return {};
  return {
    STATE_DIRECTORY: `/var/lib/dropledger-${instance}`,
    RUNTIME_DIRECTORY: `/run/dropledger-${instance}`,
    DROPLEDGER_INSTANCE: instance,
  };
}

/** The ledger's column `instance`. */
export const instanceName = (env: Readonly<Record<string, string | undefined>>): string =>
  env['DROPLEDGER_INSTANCE'] ?? 'default';
