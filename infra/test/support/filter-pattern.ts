import type { Json } from './installations.ts';

/**
 * CloudWatch's filter patterns for JSON, as far as they are used here: `{ ($.a.b = "x*") && (($.c != "y") || ($.d NOT EXISTS)) }`.
 * A field that is missing equals nothing, and differs from nothing either.
 */
export function matches(pattern: string, event: Json): boolean {
  const tokens = pattern.match(/\(|\)|&&|\|\||\$\.[\w.]+|!?=|NOT EXISTS|"[^"]*"/g) ?? [];
  let at = 0;
  const next = () => tokens[at++] ?? '';

  const either = (): boolean => {
    let result = both();
    while (tokens[at] === '||') {
      at += 1;
      const other = both();
      result ||= other;
    }
    return result;
  };
  const both = (): boolean => {
    let result = one();
    while (tokens[at] === '&&') {
      at += 1;
      const other = one();
      result &&= other;
    }
    return result;
  };
  const one = (): boolean => {
    const first = next();
    if (first === '(') {
      const result = either();
      if (next() !== ')') throw new Error(`a parenthesis is missing in ${pattern}`);
      return result;
    }
    const value = first
      .slice(2)
      .split('.')
      .reduce((object: Json, key) => object?.[key], event);
    const operator = next();
    if (operator === 'NOT EXISTS') return value === undefined;
    const wanted = next().slice(1, -1);
    if (typeof value !== 'string') return false;
    return (operator === '=') === fits(value, wanted);
  };

  const result = either();
  if (at !== tokens.length) throw new Error(`not understood from ${tokens[at]} on: ${pattern}`);
  return result;
}

const fits = (value: string, wanted: string): boolean =>
  new RegExp(`^${wanted.split('*').map(RegExp.escape).join('.*')}$`).test(value);
