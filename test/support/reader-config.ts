import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDatabase } from './postgres.ts';

export interface ReaderConfig extends AsyncDisposable {
  readonly file: string;
  /** Where it lies. */
  readonly folder: string;
}

interface S3Place {
  readonly bucket?: string;
  readonly prefix?: string;
  readonly endpoint?: string;
  readonly region?: string;
}

/** A configuration as an operator has it who may read the ledger, and the bucket if `s3` says where. */
export async function writeReaderConfig(database: TestDatabase, s3: S3Place = {}): Promise<ReaderConfig> {
  const folder = await mkdtemp(join(tmpdir(), 'dropledger-reader-'));
  const file = join(folder, 'config.json');
  const { host, port, database: name, passwordFile } = database.reader;
  const config = {
    dropFolder: { path: '/srv/inbox', archivePath: '/srv/archive', quarantinePath: '/srv/quarantine' },
    s3: { bucket: 'records', region: 'us-east-1', forcePathStyle: true, ...s3 },
    ledger: {
      ...{ host, port, database: name, passwordFile },
      ...{ user: 'dropledger_writer', readerUser: 'dropledger_reader', auth: 'password', tls: 'off' },
    },
  };
  await writeFile(file, JSON.stringify(config));
  return { file, folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
