import { isUtf8 } from 'node:buffer';
import type { RelativePath } from '../model.ts';

/** The bytes the file system knows the path by. */
export const bytesOf = (path: RelativePath): Buffer => Buffer.from(path, 'latin1');

/** A path from the bytes that `readdir` gave. */
export const pathFromBytes = (bytes: Uint8Array): RelativePath => Buffer.from(bytes).toString('latin1') as RelativePath;

/** A path from text, such as chokidar's or a command line's. */
export const pathFromText = (text: string): RelativePath => pathFromBytes(Buffer.from(text, 'utf8'));

/** The path as UTF-8 text; undefined where its bytes are none. */
export function utf8Of(path: RelativePath): string | undefined {
  const bytes = bytesOf(path);
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

/** The path as the ledger and the journal write it: bytes that are not UTF-8 as `\xNN`, a backslash doubled. */
export function textOf(path: RelativePath): string {
  const text = utf8Of(path);
  if (text !== undefined) return text.replaceAll('\\', '\\\\');
  const bytes = bytesOf(path);
  let out = '';
  for (let at = 0; at < bytes.length; ) {
    const length = utf8SequenceLength(bytes, at);
    if (length === 0) out += `\\x${bytes.toString('hex', at, at + 1).toUpperCase()}`;
    else out += bytes.toString('utf8', at, at + length).replaceAll('\\', '\\\\');
    at += Math.max(length, 1);
  }
  return out;
}

/** The reverse of `textOf`. What it never wrote, such as a single backslash, is taken as it stands. */
export const pathFromWritten = (text: string): RelativePath =>
  pathFromText(text).replace(/\\\\|\\x([0-9A-F]{2})/g, (_all, hex: string | undefined) =>
    hex === undefined ? '\\' : String.fromCharCode(Number.parseInt(hex, 16)),
  ) as RelativePath;

/** Bytes of the well-formed UTF-8 sequence that starts at `at`; 0 where none does. */
function utf8SequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  }
  return 0;
}

/** Whether it names something below a folder, and nothing else: no `..`, no empty segment, no NUL. */
export const isBelow = (path: RelativePath): boolean =>
  !path.includes('\0') && path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');

/** The last segment. */
export const nameOf = (path: RelativePath): RelativePath => path.slice(path.lastIndexOf('/') + 1) as RelativePath;

/** All but the last segment; empty for a path of one segment. */
export const parentOf = (path: RelativePath): RelativePath =>
  path.slice(0, Math.max(path.lastIndexOf('/'), 0)) as RelativePath;

/** `parent/name`, or the name alone where the parent is the drop folder itself. */
export const joinPath = (parent: RelativePath, name: string): RelativePath =>
  (parent === '' ? name : `${parent}/${name}`) as RelativePath;
