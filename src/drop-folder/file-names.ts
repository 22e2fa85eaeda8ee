import type { RelativePath } from '../model.ts';
import { bytesOf, pathFromBytes } from '../service/path-bytes.ts';

/** Bytes of a name on Linux's file systems (NAME_MAX). */
export const nameMaxBytes = 255;

/** `<stem>~<id><ext>`: the name for a file whose own is taken, cut so that `reservedBytes` may still be appended. */
export function nameWithId(name: RelativePath, id: string, reservedBytes = 0): RelativePath {
  const dot = name.lastIndexOf('.');
  const hasExtension = dot > 0 && name.length - dot <= 32;
  const stem = hasExtension ? name.slice(0, dot) : name;
  const end = `~${id}${hasExtension ? name.slice(dot) : ''}`;
  return `${cutToBytes(stem as RelativePath, nameMaxBytes - end.length - reservedBytes)}${end}` as RelativePath;
}

/** At most `most` bytes of a name, cut where a UTF-8 character ends. */
export function cutToBytes(name: RelativePath, most: number): RelativePath {
  const bytes = bytesOf(name);
  if (bytes.length <= most) return name;
  let end = most;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1; // not in the middle of a character
  return pathFromBytes(bytes.subarray(0, end === 0 ? most : end));
}
