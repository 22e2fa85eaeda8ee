import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { whyNoSystemdBox } from './systemd-box.ts';

const run = promisify(execFile);
const packager = fileURLToPath(new URL('../../packaging/package.ts', import.meta.url));

declare module 'vitest' {
  interface ProvidedContext {
    /** Paths of the package as users get it, twice: the second is the next release, as far as dpkg knows. */
    debs: { readonly current: string; readonly next: string };
  }
}

/** Before the system suite: the .deb is built once for all of its files. */
export default async function buildPackages(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'dropledger-packages-'));
  if (whyNoSystemdBox() === undefined) {
    project.provide('debs', {
      current: await buildQuickly(folder, '1.0.0'),
      next: await buildQuickly(folder, '1.0.1'),
    });
  }
  return () => rm(folder, { recursive: true, force: true });
}

/** A .deb that is not compressed: in seconds, and the rest of it as it is published. */
export async function buildQuickly(to: string, version: string): Promise<string> {
  const options = ['--quick', '--format', 'deb', '--to', to, '--version', version];
  const maintainer = { DEBFULLNAME: 'Ada Packager', DEBEMAIL: 'ada@example.org' };
  const env = { ...process.env, ...maintainer, SOURCE_DATE_EPOCH: '1790000000' };
  const { stdout } = await run(process.execPath, [packager, ...options], { env });
  return stdout.trim().replace(/:.*/, '');
}

/** Where a box sees them. */
export const debsInBox = '/opt/packages';
export const debFolder = (debs: { readonly current: string }): string => dirname(debs.current);
export const debInBox = (deb: string): string => `${debsInBox}/${basename(deb)}`;
