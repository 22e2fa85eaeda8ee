/** The little XML that S3 speaks: written from plain objects, read into them. */

export type XmlContent = { readonly [element: string]: XmlValue };
type XmlValue = string | number | boolean | undefined | XmlContent | readonly (string | XmlContent)[];

const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A document; lists repeat their element, undefined leaves it out. `namespace` null: none, as in S3's errors. */
export function xmlDocument(
  root: string,
  content: XmlContent | string,
  namespace: string | null = s3Namespace,
): string {
  const attribute = namespace === null ? '' : ` xmlns="${namespace}"`;
  const inner = typeof content === 'string' ? escapeXml(content) : elements(content);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${attribute}>${inner}</${root}>`;
}

function elements(content: XmlContent): string {
  let out = '';
  for (const [name, value] of Object.entries(content)) {
    if (value === undefined) continue;
    const list = Array.isArray(value) ? (value as readonly (string | XmlContent)[]) : [value as string | XmlContent];
    for (const item of list) {
      out += `<${name}>${typeof item === 'object' ? elements(item) : escapeXml(String(item))}</${name}>`;
    }
  }
  return out;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Control characters are written as references, as S3 does, though XML 1.0 has no place for them. */
const escapeXml = (text: string): string =>
  text.replace(/[&<>"\p{Cc}]/gu, (character) => entities[character] ?? `&#x${character.charCodeAt(0).toString(16)};`);

/** An element that was read: its text, and its child elements in order. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** The root element; undefined where the text is not well-formed. Attributes are skipped, DTDs refused. */
export function parseXml(text: string): XmlElement | undefined {
  type Open = { name: string; text: string; children: XmlElement[] };
  const top: Open = { name: '', text: '', children: [] };
  const open: Open[] = [top];
  const token =
    /<\?[^>]*\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z_][\w:.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    const current = open.at(-1);
    if (match === null || current === undefined) return undefined;
    const [, closing, name, , selfClosing, characters] = match;
    if (characters !== undefined) {
      current.text += unescapeXml(characters);
    } else if (name !== undefined && closing === '/') {
      if (open.length < 2 || current.name !== name) return undefined;
      open.pop();
    } else if (name !== undefined) {
      const element: Open = { name, text: '', children: [] };
      current.children.push(element);
      if (selfClosing !== '/') open.push(element);
    }
  }
  return open.length === 1 && top.children.length === 1 && top.text.trim() === '' ? top.children[0] : undefined;
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const unescapeXml = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z]+));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return named[name] ?? whole;
    const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });

/** The text of a child element. */
export const childText = (element: XmlElement, name: string): string | undefined =>
  element.children.find((child) => child.name === name)?.text;
