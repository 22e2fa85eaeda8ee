import pg from 'pg';

const { builtins } = pg.types;

/** Times come out as the rows are written: ISO 8601 in UTC with milliseconds; `bigint` as a number (sizes fit). */
const parsers = new Map<number, (text: string) => unknown>([
  [builtins.INT8, safeInteger],
  [builtins.TIMESTAMPTZ, isoTime],
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

/**
 * `2026-03-31 16:00:03.12+00`, as every session of ours gets it, by its letters: there are six in a row, and `Date` takes
 * longer for them than all else that is done to a row.
 */
function isoTime(text: string): string {
  if (text.charCodeAt(10) !== space || !text.endsWith('+00')) return new Date(text).toISOString();
  const ms = text.slice(20, -3).slice(0, 3).padEnd(3, '0');
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${ms}Z`;
}

const space = 0x20;
