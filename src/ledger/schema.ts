import { ConfigError, codeOf, type DropledgerError } from '../service/errors.ts';
import type { LedgerPool } from './pool.ts';

/** The schema version that this program is made for: the number of the last file in `migrations/`. */
export const programVersion = 1;

export interface SchemaVersion {
  /** Of the last migration that was applied; 0 for none. */
  readonly version: number;
  /** Programs made for this version and later ones work with it. */
  readonly compatibleFrom: number;
}

/**
 * - `current`: the very version this program is made for.
 * - `newer`: made by a newer program, but this one may go on.
 * - `missing`, `too-old`: `dropledger migrate` mends it. `incompatible`: a newer dropledger does.
 */
export type SchemaState =
  | { readonly kind: 'current' | 'newer' | 'too-old' | 'incompatible'; readonly version: number }
  | { readonly kind: 'missing' };

/** Reads the version; the writer's rights are enough. Errors as of `LedgerPool.query`. */
export async function checkSchema(pool: LedgerPool, signal?: AbortSignal): Promise<SchemaState> {
  return compare(await readSchemaVersion(pool, signal));
}

export async function readSchemaVersion(pool: LedgerPool, signal?: AbortSignal): Promise<SchemaVersion> {
  try {
    const { rows } = await pool.query<{ version: number; compatible_from: number }>(
      'SELECT version, compatible_from FROM dropledger.schema_version ORDER BY version DESC LIMIT 1',
      [],
      signal,
    );
    return { version: rows[0]?.version ?? 0, compatibleFrom: rows[0]?.compatible_from ?? 0 };
  } catch (error) {
    if (isUndefined(error)) return { version: 0, compatibleFrom: 0 };
    throw error;
  }
}

function compare({ version, compatibleFrom }: SchemaVersion): SchemaState {
  if (version === 0) return { kind: 'missing' };
  if (version === programVersion) return { kind: 'current', version };
  if (version < programVersion) return { kind: 'too-old', version };
  return { kind: compatibleFrom <= programVersion ? 'newer' : 'incompatible', version };
}

/** What keeps this program from recording; undefined where nothing does. */
export function schemaProblem(state: SchemaState): DropledgerError | undefined {
  const migrate = 'Run "dropledger migrate" as the owner of the database.';
  switch (state.kind) {
    case 'current':
    case 'newer':
      return undefined;
    case 'missing':
      return new ConfigError('the database has no ledger yet: the schema "dropledger" is missing', { hint: migrate });
    case 'too-old':
      return new ConfigError(`the ledger's schema is version ${state.version}, too old: ${programVersion} is needed`, {
        hint: migrate,
      });
    case 'incompatible':
      return new ConfigError(`the ledger's schema is version ${state.version}, too new for this dropledger`, {
        hint: `Upgrade dropledger: this one knows version ${programVersion}.`,
      });
  }
}

/** `undefined_table`, `invalid_schema_name`: Postgres checks rights only on what exists. */
function isUndefined(error: unknown): boolean {
  const code = codeOf((error as { cause?: unknown }).cause);
  return code === '42P01' || code === '3F000';
}
