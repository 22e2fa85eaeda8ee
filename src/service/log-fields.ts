import type { EventFields } from '../model.ts';
import { escapeUnsafe } from './log-format.ts';
import { hideSecrets, hideSecretsInField } from './log-secrets.ts';

/** journald splits a line at 48 KiB (LineMax=) and gives the rest no priority; room is left for time, level and event. */
const maxLineBytes = 48 * 1024 - 512;

/** Names that the line has already. */
const reserved = new Set(['time', 'level', 'event', 'message']);

/** What a line carries besides time, level and event. */
export interface LineContent {
  readonly message: string | undefined;
  readonly fields: EventFields;
}

/** The content as it may be written: names safe, secrets hidden, cut where the line would be too long. */
export function safeContent(fields: EventFields, message: string | undefined): LineContent {
  const safe: Record<string, EventFields[string]> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    safe[safeName(name)] = typeof value === 'string' ? hideSecretsInField(name, value) : value;
  }
  return cutToFit({ message: message === undefined ? undefined : hideSecrets(message), fields: safe });
}

/** Names come from our own code; this only makes sure that a slip of ours breaks no line. */
const safeName = (name: string): string => {
  const plain = name.replace(/[^\w.-]/g, '_') || '_';
  return reserved.has(plain) ? `${plain}_` : plain;
};

/** Halves what the longest values may take until the line fits in any of the formats. JSON is the longest of them. */
function cutToFit(content: LineContent): LineContent {
  let { message, fields } = content;
  for (let maxLength = maxLineBytes / 2; isTooLong(message, fields) && maxLength > 1; maxLength /= 2) {
    message = message === undefined ? undefined : cut(message, maxLength);
    fields = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? cut(value, maxLength) : value]),
    );
  }
  return { message, fields };
}

function isTooLong(message: string | undefined, fields: EventFields): boolean {
  // An unsafe character takes at most six bytes for each of its UTF-16 units: nearly every line is known by this to fit.
  let units = message?.length ?? 0;
  for (const [name, value] of Object.entries(fields))
    units += name.length + (typeof value === 'string' ? value.length : 8);
  return (
    units * 6 > maxLineBytes && Buffer.byteLength(escapeUnsafe(JSON.stringify({ message, ...fields }))) > maxLineBytes
  );
}

const cutMark = '…(cut)';

function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const kept = text.endsWith(cutMark) ? text.slice(0, -cutMark.length) : text;
  return kept.slice(0, maxLength - cutMark.length).replace(/[\uD800-\uDBFF]$/, '') + cutMark;
}
