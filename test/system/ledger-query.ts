/** Runs inside the box: `ledger-query.ts SQL` prints the rows as JSON. */
import { readFileSync } from 'node:fs';
import pg from 'pg';

const client = new pg.Client({
  host: '/srv/postgres/socket',
  database: 'postgres',
  user: 'postgres',
  password: readFileSync('/srv/postgres/superuser-password', 'utf8').trim(),
});
await client.connect();
const { rows } = await client.query(process.argv[2] ?? '');
process.stdout.write(JSON.stringify(rows));
await client.end();
