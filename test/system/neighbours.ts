/**
 * Runs inside the box, as a unit of its own: the S3 endpoint and the ledger's database that the daemon needs. Their
 * addresses and secrets are known to `service-box.ts` alone; the box has a network of its own.
 */
import { chmodSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/demo/postgres.ts';
import { startS3Endpoint } from '../../src/demo/s3-endpoint/index.ts';
import { migrate } from '../../src/ledger/migrate.ts';
import { createLogger, describeDestination } from '../../src/service/logger.ts';
import { createNotifier } from '../../src/service/systemd.ts';

const [writerPassword = ''] = process.argv.slice(2);
const log = createLogger({ level: 'info', format: 'auto', destination: describeDestination(1, false, process.env) });

await using notifier = await createNotifier({
  socketPath: process.env['NOTIFY_SOCKET'],
  watchdogUsec: undefined,
  watchdogPid: undefined,
  pid: process.pid,
});
await using _s3 = await startS3Endpoint({
  directory: '/srv/s3',
  port: 9000,
  region: 'eu-west-1',
  buckets: ['acme-in'],
  credentials: [{ accessKeyId: 'AKIABOX', secretAccessKey: 'box-secret', role: 'write-only', prefix: 'in/' }],
});
await using postgres = await startEmbeddedPostgres({ directory: '/srv/postgres' });
const { passwordFile, user } = postgres.superuser;
const admin = { host: postgres.host, port: postgres.port, database: 'postgres', user };
await migrate({ ...admin, region: undefined, auth: 'password', passwordFile, tls: 'off', caFile: undefined, log });
const client = new pg.Client({ ...admin, password: readFileSync(passwordFile, 'utf8').trim() });
await client.connect();
await client.query(`ALTER ROLE dropledger_writer PASSWORD '${writerPassword}'`);
await client.end();
for (const folder of ['/srv/postgres', postgres.host]) chmodSync(folder, 0o755);

notifier.ready();
await new Promise((resolve) => process.once('SIGTERM', resolve));
