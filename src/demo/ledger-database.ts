import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../ledger/migrate.ts';
import type { EventLog } from '../model.ts';
import { startEmbeddedPostgres } from './postgres.ts';

/** An embedded Postgres with a migrated ledger; its two roles log in by password. */
export interface DemoLedger extends AsyncDisposable {
  /** The folder of the unix socket, or 127.0.0.1. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly writerPasswordFile: string;
  readonly readerPasswordFile: string;
}

/** @throws LocalFailure where no Postgres can be started. */
export async function startDemoLedger(secretsFolder: string, log: EventLog): Promise<DemoLedger> {
  const server = await startEmbeddedPostgres();
  try {
    const { host, port, superuser } = server;
    const database = 'postgres';
    const admin = { host, port, database, user: superuser.user };
    const { passwordFile } = superuser;
    await migrate({ ...admin, auth: 'password', passwordFile, region: undefined, caFile: undefined, tls: 'off', log });
    const client = new pg.Client({ ...admin, password: readFileSync(passwordFile, 'utf8').trim() });
    await client.connect();
    const setPassword = async (role: string): Promise<string> => {
      const password = randomBytes(18).toString('base64url');
      await client.query(`ALTER ROLE ${role} PASSWORD '${password}'`);
      const file = join(secretsFolder, `${role}-password`);
      writeFileSync(file, password, { mode: 0o600 });
      return file;
    };
    const writerPasswordFile = await setPassword('dropledger_writer');
    const readerPasswordFile = await setPassword('dropledger_reader');
    await client.end();
    const dispose = () => server[Symbol.asyncDispose]();
    return { host, port, database, writerPasswordFile, readerPasswordFile, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
