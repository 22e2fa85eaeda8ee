import { ledgerTarget } from '../../config/places.ts';
import type { Config } from '../../config/schema.ts';
import { createLedgerPool } from '../../ledger/pool.ts';
import { type LedgerProbe, probeLedger } from '../../ledger/probe.ts';
import { schemaProblem } from '../../ledger/schema.ts';
import type { EventLog } from '../../model.ts';
import { ConfigError, ServiceUnavailable } from '../../service/errors.ts';
import type { Credentials } from './aws.ts';
import { type CheckResult, checkThat, failed, passed } from './result.ts';

/** TLS and login, schema, grants: what recording needs; nothing is written. */
export async function checkLedger(config: Config, { provider }: Credentials, log: EventLog): Promise<CheckResult[]> {
  await using pool = createLedgerPool({ ...ledgerTarget(config), credentials: provider, log });
  const probe = await probeLedger(pool).catch((error: unknown) => failed('ledger login', error));
  if ('ok' in probe) return [probe];
  const { user, host } = config.ledger;
  return [
    await checkThat('ledger login', async () => loginOf(probe, `${user} at ${host}`)),
    await checkThat('ledger schema', async () => schemaOf(probe)),
    await checkThat('ledger grants', async () => grantsOf(probe, user)),
  ];
}

function loginOf({ serverVersion, tlsVersion, readOnly }: LedgerProbe, who: string): string {
  if (readOnly) {
    throw new ServiceUnavailable('ledger', `${who}: the database is read-only`, {
      hint: 'a failover mends itself; if it lasts, ledger.host is a replica: name the writer endpoint',
    });
  }
  return `${who}, PostgreSQL ${serverVersion}, ${tlsVersion === null ? 'no TLS, on this machine' : `${tlsVersion}, verified`}`;
}

function schemaOf({ schema }: LedgerProbe): string {
  const problem = schemaProblem(schema);
  if (problem !== undefined) throw problem;
  return schema.kind === 'missing' ? '' : `version ${schema.version}`;
}

function grantsOf({ schema, missingRights }: LedgerProbe, user: string): CheckResult {
  const missing = schema.kind === 'missing' ? ['everything'] : missingRights;
  if (missing.length > 0) {
    throw new ConfigError(`${user} lacks ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ' …' : ''}`, {
      hint: `as the owner of the database: GRANT dropledger_writer TO ${JSON.stringify(user)}`,
    });
  }
  return passed('ledger grants', `${user} may record`);
}
