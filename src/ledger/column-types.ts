import pg from 'pg';

const { builtins } = pg.types;

/** Times come out as the rows are written: ISO 8601 in UTC with milliseconds; `bigint` as a number (sizes fit). */
const parsers = new Map<number, (text: string) => unknown>([
  [builtins.INT8, safeInteger],
  [builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString()],
  [builtins.DATE, (text) => text],
]);

export const columnTypes = {
  getTypeParser(oid: number, format: 'text' | 'binary' = 'text') {
    return parsers.get(oid) ?? pg.types.getTypeParser(oid, format);
  },
} as pg.CustomTypesConfig;

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is beyond the integers that a number can hold`);
  return value;
}
