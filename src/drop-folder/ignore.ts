import picomatch from 'picomatch';
import type { RelativePath } from '../model.ts';
import { textOf } from '../service/path-bytes.ts';

/** The rule (as configured) that hides the path; undefined where none does. */
export type IgnoreRule = (path: RelativePath) => string | undefined;

/** Whether one segment of a path is hidden, and by which rule. */
export type IgnoreName = (name: RelativePath) => string | undefined;

/** Globs matched against a single name; dots are nothing special, as the default `.*` shows. */
export function createIgnoreName(globs: readonly string[]): IgnoreName {
  const options = { dot: true, nonegate: true };
  const rules = globs.map((glob) => ({ glob, matches: picomatch(glob, options) }));
  // Nearly every name is hidden by none of them: all of them in one look. (A glob also matches its own text.)
  const itself = new Set(globs);
  const any = new RegExp(globs.map((glob) => picomatch.makeRe(glob, options).source).join('|') || '^$', 's');
  return (name) => {
    const text = textOf(name);
    return any.test(text) || itself.has(text) ? rules.find(({ matches }) => matches(text))?.glob : undefined;
  };
}

/** The same for a whole path: an ignored folder hides its contents. */
export function createIgnoreRule(globs: readonly string[]): IgnoreRule {
  const ignoreName = createIgnoreName(globs);
  return (path) => {
    for (const segment of path.split('/')) {
      const rule = ignoreName(segment as RelativePath);
      if (rule !== undefined) return rule;
    }
    return undefined;
  };
}
