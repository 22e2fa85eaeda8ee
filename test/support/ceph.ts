import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type ClusterOptions, startCluster } from './ceph/cluster.ts';
import { assumeRole, createBucket, createUsers, owner, region, writeOnly, writer } from './ceph/users.ts';
import type { Credentials } from './signed-request.ts';

/**
 * Ceph's S3 gateway, from Debian's packages radosgw, ceph-mon, ceph-osd and ceph-common, on loopback: a real server
 * that nobody here wrote. It dies with this process, however that ends.
 */

export interface CephOptions extends ClusterOptions {
  /** Keys that the write-only credentials may write begin with this, in every bucket. */
  readonly writeOnlyPrefix?: string;
}

export interface Ceph extends AsyncDisposable {
  readonly url: string;
  readonly region: string;
  /** May create buckets and everything in them. */
  readonly owner: Credentials;
  /** Another user, with rights to nothing of the owner's. */
  readonly writer: Credentials;
  /** s3:PutObject and s3:AbortMultipartUpload under the prefix, and no more (it may list its own buckets: none). */
  readonly writeOnly: Credentials;
  /** The same rights as temporary credentials, from STS AssumeRole; 900 s is the shortest. */
  assumeWriteOnlyRole(durationSeconds?: number): Promise<Required<Credentials>>;
  /**
   * As AWS makes buckets today: the owner may do everything with every object in it, whoever put it. (Left to itself
   * Ceph gives an object to the user who put it.)
   */
  createBucket(name: string): Promise<void>;
  /** Runs `radosgw-admin` and gives what it prints. */
  adminCommand(...args: string[]): Promise<string>;
  /** Kills the gateway (-9) and starts it again. What was stored stays. */
  restartGateway(): Promise<void>;
}

const programs = ['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin', 'setpriv', 'curl'];

/** What is missing to start it, as a sentence; undefined where nothing is. */
export function cephMissing(): string | undefined {
  const missing = programs.filter((program) => !onPath(program));
  if (missing.length === 0) return undefined;
  return `not on the PATH: ${missing.join(', ')} (Debian: apt-get install radosgw ceph-mon ceph-osd ceph-common)`;
}

export const cephAvailable = (): boolean => cephMissing() === undefined;

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Takes about three seconds. */
export async function startCeph(options: CephOptions = {}): Promise<Ceph> {
  const cluster = await startCluster(options);
  const address = { url: cluster.url, ca: options.tls?.ca };
  try {
    await createUsers(address, cluster.adminCommand, options.writeOnlyPrefix ?? '');
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return {
    ...cluster,
    ...{ region, owner, writer, writeOnly },
    createBucket: (name) => createBucket(address, name),
    assumeWriteOnlyRole: (durationSeconds = 3600) => assumeRole(address, durationSeconds),
  };
}
