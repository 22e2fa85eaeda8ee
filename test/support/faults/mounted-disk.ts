import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fastFolder } from '../postgres.ts';

/** A file system of the test's own, on a file in memory. */
export interface MountedDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  /** Writes all of it to the disk, as a careful producer does with what it dropped. */
  sync(): Promise<void>;
  /**
   * From now on nothing reaches the disk: what was not synced is forgotten. (The kernel shuts the file system down as the
   * tests of its developers do, EXT4_IOC_SHUTDOWN without a flush; its own commits are five minutes apart here.)
   */
  cutPower(): Promise<void>;
  /** Damages what lies on the medium at the first place that holds these bytes; while it is unmounted. */
  rot(bytes: string): Promise<void>;
  /** Mounts it again, with what it has. */
  remount(): Promise<void>;
  unmount(): Promise<void>;
  mount(): Promise<void>;
}

const run = promisify(execFile);

/** Why there can be none here; undefined where there can. Where the tests are to be complete nothing is skipped. */
export function whyNoMounts(): string | undefined {
  if (process.env['DROPLEDGER_REQUIRE_FAULTS'] === '1') return undefined;
  return process.getuid?.() === 0 ? undefined : 'to mount needs root';
}

/** Of ext4; of tmpfs, which knows how to be small; or of btrfs, which keeps checksums and fails to read what is damaged. */
export async function mountDisk(mebibytes: number, type: 'ext4' | 'btrfs' | 'tmpfs' = 'ext4'): Promise<MountedDisk> {
  const folder = await mkdtemp(join(fastFolder(), 'dropledger-disk-'));
  const [path, image] = [join(folder, 'mounted'), join(folder, 'image')];
  await mkdir(path);
  const mount = (options: string) =>
    type === 'tmpfs'
      ? run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,${options}`, 'tmpfs', path])
      : run('mount', ['-t', type, '-o', `loop,commit=300,${options}`, image, path]);
  if (type !== 'tmpfs') {
    await writeFile(image, '');
    await truncate(image, mebibytes * 2 ** 20);
    const wanted = type === 'ext4' ? ['-F', '-m', '0'] : ['-m', 'single', '-d', 'single'];
    await run(`mkfs.${type}`, ['-q', ...wanted, image]);
  }
  await mount('rw');
  /** Again and again: a daemon may be looking at it. */
  const unmount = async () => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return void (await run('umount', [path]));
      } catch (error) {
        if (attempt === 100) throw error;
        await sleep(20);
      }
    }
  };
  return {
    path,
    async sync() {
      await run('sync', ['-f', path]);
    },
    async cutPower() {
      await run('perl', ['-e', shutdown, path]);
    },
    async rot(bytes) {
      const at = (await readFile(image)).indexOf(bytes);
      await using handle = await open(image, 'r+');
      await handle.write(Buffer.alloc(bytes.length, '?'), 0, bytes.length, at);
    },
    async remount() {
      await unmount();
      await mount('rw');
    },
    unmount,
    mount: async () => void (await mount('rw')),
    async [Symbol.asyncDispose]() {
      await run('umount', ['-l', path]).catch(() => undefined); // a test may have unmounted it
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (linux/ext4.h); Node cannot call ioctl. */
const shutdown = 'open F, "<", $ARGV[0] or die $!; my $flags = pack "L", 2; ioctl F, 0x8004587d, $flags or die $!';
