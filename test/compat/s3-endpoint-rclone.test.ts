import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startTestEndpoint, type TestEndpoint } from '../support/s3-endpoint.ts';

const run = promisify(execFile);

function hasRclone(): boolean {
  try {
    execFileSync('rclone', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** rclone speaks S3 in its own way: version 1 of lists, V4 signatures of its own SDK, multipart with MD5s. */
const required = process.env['DROPLEDGER_REQUIRE_COMPAT'] === '1';
test.skipIf(!hasRclone() && !required)(
  'rclone (Debian: apt-get install rclone) uses the project’s own S3 endpoint',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dropledger-rclone-'));
    try {
      await using endpoint = await startTestEndpoint();
      const source = join(folder, 'source');
      const names = ['a b/ü.txt', 'a b/empty', 'large', 'it’s 100%/%2F'];
      for (const name of names) {
        await mkdir(join(source, name, '..'), { recursive: true });
        await writeFile(join(source, name), name === 'large' ? Buffer.alloc(12 * 1024 * 1024, 'x') : name.slice(0, -5));
      }
      const rclone = rcloneOf(endpoint);
      await rclone('copy', source, 'endpoint:bucket/copy');
      await rclone('check', '--download', source, 'endpoint:bucket/copy');
      await rclone('check', source, 'endpoint:bucket/copy');
      expect((await rclone('lsf', '-R', '--files-only', 'endpoint:bucket/copy')).split('\n').sort()).toEqual(
        ['', ...names].sort(),
      );
      const back = join(folder, 'back');
      await rclone('move', 'endpoint:bucket/copy', back);
      expect((await readFile(join(back, 'large'))).equals(await readFile(join(source, 'large')))).toBe(true);
      expect(await readdir(join(endpoint.directory, 'bucket'))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

/** Configured by the environment alone: neither a file of the user's nor its CA bundle has a say. */
function rcloneOf({ url, owner }: TestEndpoint): (...args: string[]) => Promise<string> {
  const env = {
    PATH: process.env['PATH'],
    RCLONE_CONFIG: '/dev/null',
    RCLONE_S3_CHUNK_SIZE: '5Mi',
    RCLONE_S3_UPLOAD_CUTOFF: '10Mi',
    RCLONE_CONFIG_ENDPOINT_TYPE: 's3',
    RCLONE_CONFIG_ENDPOINT_PROVIDER: 'Other',
    RCLONE_CONFIG_ENDPOINT_ENDPOINT: url,
    RCLONE_CONFIG_ENDPOINT_ACCESS_KEY_ID: owner.accessKeyId,
    RCLONE_CONFIG_ENDPOINT_SECRET_ACCESS_KEY: owner.secretAccessKey,
  };
  return async (...args) => (await run('rclone', args, { env })).stdout;
}
