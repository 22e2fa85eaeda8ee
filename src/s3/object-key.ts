import type { RelativePath } from '../model.ts';
import { ConfigError } from '../service/errors.ts';
import { utf8Of } from '../service/path-bytes.ts';

/** S3 takes 1,024 bytes of UTF-8. */
const maxKeyBytes = 1024;

export type ObjectKey = { readonly key: string } | { readonly rejected: string; readonly hint: string };

/** The key of a file: prefix + relative path, its bytes unchanged. */
export function objectKey({ prefix, path }: { readonly prefix: string; readonly path: RelativePath }): ObjectKey {
  const text = utf8Of(path);
  if (text === undefined) {
    return { rejected: 'the name is not valid UTF-8, as object keys must be', hint: 'Rename the file.' };
  }
  const key = prefix + text;
  const bytes = Buffer.byteLength(key);
  if (bytes > maxKeyBytes) {
    return {
      rejected: `the object key would have ${bytes} bytes, ${bytes - maxKeyBytes} more than S3 takes`,
      hint: 'Shorten the path, or s3.prefix.',
    };
  }
  return { key };
}

/** `${host}` in the configured prefix is this machine's name. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the placeholder itself
export const expandPrefix = (prefix: string, host: string): string => prefix.replaceAll('${host}', host);

/**
 * The prefix that the keys of this host begin with.
 * @throws ConfigError where no good keys can be made of it.
 */
export function resolvePrefix(prefix: string, host: string): string {
  const resolved = expandPrefix(prefix, host);
  const problem = prefixProblem(resolved);
  if (problem === undefined) return resolved;
  throw new ConfigError(`s3.prefix ${JSON.stringify(resolved)} ${problem}`, { hint: 'Correct s3.prefix.' });
}

/** What is wrong with an (expanded) prefix; undefined where nothing is. Of a file's path none of this can be true. */
export function prefixProblem(prefix: string): string | undefined {
  if (!prefix.isWellFormed()) return 'is not valid UTF-8';
  if (prefix.startsWith('/')) return 'must not start with a slash: the first folder of every key would have no name';
  if (/(^|\/)\.{1,2}(\/|$)/.test(prefix)) return 'must have no . or .. segment: many S3 clients resolve them';
  if (prefix.includes('//')) return 'must have no empty segment (//): many S3 clients drop it';
  if (/\p{Cc}/u.test(prefix)) return 'must have no control characters';
  if (Buffer.byteLength(prefix) > maxKeyBytes / 2) return `leaves too little of the ${maxKeyBytes} bytes of a key`;
  return undefined;
}

/** Where other content has the key: `<stem>~<first 8 of sha256><ext>`. The same content always gets the same key. */
export const conflictKey = (key: string, sha256: string): string => withMark(key, sha256.slice(0, 8));

/** Where that one is taken too: `<stem>~<row id><ext>`, which nothing else can have. */
export const conflictKeyById = (key: string, rowId: string): string => withMark(key, rowId);

/**
 * The extension is what a file manager would keep: from the last dot of the name, at most 16 bytes of it and neither
 * leading (`.profile`) nor trailing, together with a `.tar` before it. The stem is cut where the key would be too long.
 */
function withMark(key: string, mark: string): string {
  const nameAt = key.lastIndexOf('/') + 1;
  const extension = extensionOf(key.slice(nameAt));
  const stem = key.slice(0, key.length - extension.length);
  const ending = `~${mark}${extension}`;
  return cutToBytes(stem, maxKeyBytes - Buffer.byteLength(ending)) + ending;
}

function extensionOf(name: string): string {
  const extension = /(?<=[^.])(?:\.tar)?\.[^.\s]+$/u.exec(name)?.[0] ?? '';
  return Buffer.byteLength(extension) <= 16 ? extension : '';
}

/** The longest beginning that has at most so many bytes, cut at a character boundary. */
function cutToBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  // a UTF-8 continuation byte is 10xxxxxx
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
