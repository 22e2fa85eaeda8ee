import { stripVTControlCharacters } from 'node:util';

/** What a file name or an error brings cannot draw on the terminal. */
export const printable = (text: string): string => stripVTControlCharacters(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '·');

/** Columns that a text takes on a terminal: two for emoji and for wide East Asian letters, none for combining marks. */
export const widthOf = (text: string): number =>
  [...text].reduce((width, character) => width + columnsOf(character), 0);

function columnsOf(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uff00-\uff60]/u.test(character) ? 2 : 1;
}

/** At most so many columns: the end of a path tells more than its beginning. */
export function shortened(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  const kept: string[] = [];
  let width = 1;
  for (const character of [...text].reverse()) {
    width += columnsOf(character);
    if (width > columns) break;
    kept.unshift(character);
  }
  return `…${kept.join('')}`;
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `48.2 KiB` */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** `1,234` */
export const countText = (count: number): string => Math.round(count).toLocaleString('en');

/** `85 ms`, `3.2 s`, `4 min`, `2.5 h`, `3.1 d` */
export function secondsText(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} d`;
}

/** `2026-03-31 16:00:03Z`, from ISO 8601 in UTC. */
export const timeText = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z`;

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** So many columns at most, in steps of an eighth; never empty where there is something to show. */
export function bar(share: number, columns: number): string {
  const steps = Math.round(Math.min(Math.max(share, 0), 1) * columns * 8);
  const drawn = share > 0 ? Math.max(steps, 1) : 0;
  return '█'.repeat(drawn >> 3) + (eighths[drawn & 7] ?? '');
}
