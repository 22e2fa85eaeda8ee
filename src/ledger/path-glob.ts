/** Which paths are meant: one, or all that begin with `prefix` and match `pattern`, a regular expression of Postgres's. */
export type PathChoice =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'pattern'; readonly prefix: string; readonly pattern: string };

/**
 * A glob over paths as the ledger writes them: `*` and `?` stay within a folder, `**` crosses folders, `[a-z]`,
 * `[!a-z]`, `{one,two}`. A backslash is a backslash, so that a path can be pasted from the ledger; `[*]` is a star.
 * `folder/` means all below it.
 */
export function choosePaths(glob: string): PathChoice {
  if (glob.endsWith('/')) return choosePaths(`${glob}**`);
  const special = glob.search(/[*?[{]/);
  if (special === -1) return { kind: 'path', path: glob };
  return { kind: 'pattern', prefix: glob.slice(0, special), pattern: `^${translate(glob)}$` };
}

/** What a piece of a glob means; braces are counted so that a comma outside of them stays a comma. */
function translate(glob: string): string {
  let depth = 0;
  return glob.replace(
    /(?<=^|\/)\*\*\/|\*\*|\*|\?|\[(?<not>[!^])?(?<members>\]?[^\]]*)\]|[{},]|[^\w/]/gu,
    (piece, ...rest: unknown[]) => {
      const { not, members } = rest.at(-1) as { not?: string; members?: string };
      if (members !== undefined) return `[${not === undefined ? '' : '^/'}${members.replace(/[^\w-]/gu, '\\$&')}]`;
      switch (piece) {
        case '**/':
          return '(?:.*/)?';
        case '**':
          return '.*';
        case '*':
          return '[^/]*';
        case '?':
          return '[^/]';
        case '{':
          depth += 1;
          return '(?:';
        case '}':
          if (depth === 0) return '\\}';
          depth -= 1;
          return ')';
        case ',':
          return depth > 0 ? '|' : ',';
        default:
          return /[^\x20-\x7e]/u.test(piece) ? piece : `\\${piece}`;
      }
    },
  );
}
