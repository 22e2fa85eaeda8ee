import { isAbsolute, relative } from 'node:path';
import type { ConfigProblem } from './load.ts';

/**
 * What no single key can say. It looks at the raw data, which may be wrong in other ways as well, so that these
 * problems are told together with all others.
 */
export function problemsAcrossKeys(data: unknown): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const text = (section: string, key: string): string | undefined => {
    const value = (data as Record<string, Record<string, unknown> | undefined> | null)?.[section]?.[key];
    return typeof value === 'string' ? value : undefined;
  };
  const folder = text('dropFolder', 'path');
  const archive = text('dropFolder', 'archivePath');
  const quarantine = text('dropFolder', 'quarantinePath');

  const archives = (text('dropFolder', 'afterUpload') ?? 'archive') === 'archive';
  if (has(data, 'dropFolder') && archives && archive === undefined) {
    const message = 'is required, because dropFolder.afterUpload is "archive"';
    problems.push({ path: 'dropFolder.archivePath', message });
  }
  for (const [key, path] of Object.entries({ archivePath: archive, quarantinePath: quarantine })) {
    if (path === undefined || folder === undefined || !overlap(path, folder)) continue;
    problems.push({ path: `dropFolder.${key}`, message: 'must lie outside dropFolder.path, and not contain it' });
  }
  for (const [section, key] of [
    ['journal', 'path'],
    ['ledger', 'passwordFile'],
  ] as const) {
    const path = text(section, key);
    if (path === undefined || folder === undefined || !isInside(path, folder)) continue;
    problems.push({ path: `${section}.${key}`, message: 'must lie outside dropFolder.path: it would be uploaded' });
  }
  const socket = text('control', 'socket');
  if (socket !== undefined && folder !== undefined && isInside(socket, folder)) {
    problems.push({ path: 'control.socket', message: 'must lie outside dropFolder.path, where nothing is created' });
  }
  if (archive !== undefined && quarantine !== undefined && overlap(archive, quarantine)) {
    problems.push({ path: 'dropFolder.quarantinePath', message: 'must be apart from dropFolder.archivePath' });
  }
  if (text('ledger', 'auth') === 'password' && text('ledger', 'passwordFile') === undefined) {
    problems.push({ path: 'ledger.passwordFile', message: 'is required, because ledger.auth is "password"' });
  }
  const host = text('ledger', 'host');
  if (text('ledger', 'tls') === 'off' && host !== undefined && !isThisMachine(host)) {
    const message = '"off" is accepted for loopback and unix sockets alone: use "verify-full", with ledger.caFile';
    problems.push({ path: 'ledger.tls', message });
  }
  return problems;
}

/** A section that is missing is one problem. */
const has = (data: unknown, section: string): boolean =>
  (data as Record<string, unknown> | null)?.[section] !== undefined;

const overlap = (one: string, other: string): boolean => isInside(one, other) || isInside(other, one);

const isInside = (path: string, folder: string): boolean => {
  const way = relative(folder, path);
  return way === '' || (way.split('/')[0] !== '..' && !isAbsolute(way));
};

const isThisMachine = (host: string): boolean =>
  host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
