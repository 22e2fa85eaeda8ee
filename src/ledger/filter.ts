import type { LedgerStatus } from '../model.ts';
import { choosePaths } from './path-glob.ts';

/** Which rows are meant: those that every given part fits. Times are those of `recorded_at`. */
export interface LedgerFilter {
  readonly since?: Date | undefined;
  /** Not included. */
  readonly until?: Date | undefined;
  readonly status?: LedgerStatus | undefined;
  /** A glob, see `path-glob.ts`. */
  readonly path?: string | undefined;
  /** Hex. */
  readonly sha256?: string | undefined;
  readonly host?: string | undefined;
}

export interface Condition {
  /** For a WHERE clause; its parameters are numbered from $1. */
  readonly sql: string;
  readonly values: readonly unknown[];
}

export function conditionOf(filter: LedgerFilter): Condition {
  const values: unknown[] = [];
  const parts: string[] = [];
  const add = (text: (parameter: string) => string, value: unknown) => {
    values.push(value);
    parts.push(text(`$${values.length}`));
  };
  if (filter.since !== undefined) add((since) => `recorded_at >= ${since}`, filter.since);
  if (filter.until !== undefined) add((until) => `recorded_at < ${until}`, filter.until);
  if (filter.status !== undefined) add((status) => `status = ${status}`, filter.status);
  if (filter.sha256 !== undefined)
    // As in dropledger.with_sha256: the index is of the hash.
    add(
      (wanted) => `hashtextextended(sha256, 0) = hashtextextended(${wanted}, 0) AND sha256 = ${wanted}`,
      filter.sha256,
    );
  if (filter.host !== undefined) add((host) => `host = ${host}`, filter.host);
  if (filter.path !== undefined) {
    const choice = choosePaths(filter.path);
    if (choice.kind === 'path') add((path) => `path = ${path}`, choice.path);
    else {
      if (choice.prefix !== '') add((prefix) => `path ^@ ${prefix}`, choice.prefix);
      add((pattern) => `path ~ ${pattern}`, choice.pattern);
    }
  }
  return { sql: parts.length === 0 ? 'true' : parts.join(' AND '), values };
}
