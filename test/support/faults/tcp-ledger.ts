import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workplace } from '../daemon-workplace.ts';
import type { TestPostgres } from '../postgres.ts';

/** For a daemon that may not enter the folder of the server's socket: by TCP, with a password file of the workplace. */
export async function useLedgerByTcp(place: Workplace, { tcpPort }: Pick<TestPostgres, 'tcpPort'>): Promise<void> {
  if (tcpPort === undefined) throw new Error('usePostgres({ tcp: true })');
  const passwordFile = join(place.folder, 'ledger-password');
  await copyFile(place.database.writer.passwordFile ?? '', passwordFile);
  await place.configure({ ledger: { host: '127.0.0.1', port: tcpPort, passwordFile } });
}
