import { widthOf } from './text.ts';

const colour = /(\p{Cc}\[\d+m)/u;
const plainAgain = '\x1b[0m';

/** As much of a line as so many columns hold; colours take none, and end with it. */
export function cutToColumns(line: string, columns: number): string {
  let left = columns;
  let cut = '';
  for (const piece of line.split(colour)) {
    if (colour.test(piece)) {
      cut += piece;
      continue;
    }
    for (const character of piece) {
      left -= widthOf(character);
      if (left < 0) return cut.includes('\x1b') ? cut + plainAgain : cut;
      cut += character;
    }
  }
  return cut;
}
