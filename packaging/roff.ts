/** The little of man(7) that the manual needs. */

/** Text as roff shows it: no line of it is taken for a request, and hyphens can be copied. */
export const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');

export const bold = (text: string): string => `\\fB${escaped(text)}\\fR`;
export const italic = (text: string): string => `\\fI${escaped(text)}\\fR`;

export const heading = (text: string): string => `.SH ${text}\n`;
export const subheading = (text: string): string => `.SS ${escaped(text)}\n`;

/** Paragraphs, which empty lines part. What is indented keeps its lines: an example. */
export const prose = (text: string): string =>
  text
    .trim()
    .split(/\n{2,}/)
    .map((part) =>
      /^\s/.test(part) ? `.PP\n.RS 4\n.nf\n${escaped(unindented(part))}\n.fi\n.RE\n` : `.PP\n${escaped(part)}\n`,
    )
    .join('');

/** A term, such as an option, and what it means. Both are roff already. */
export const item = (term: string, meaning: string): string => `.TP\n${term}\n${meaning}\n`;

const unindented = (text: string): string => text.replace(/^ +/gm, '');

export const page = (name: string, section: number, version: string, description: string): string =>
  `.TH ${name.toUpperCase()} ${section} "" "dropledger ${version}" "dropledger"\n${heading('NAME')}${escaped(name)} \\- ${escaped(description)}\n`;
