import fc from 'fast-check';
import { expect, test } from 'vitest';
import { childText, parseXml, xmlDocument } from '../../../../src/demo/s3-endpoint/xml.ts';

test('what is written is read again, whatever the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary-ascii' }), (first, second) => {
      const element = parseXml(xmlDocument('Root', { First: first, Nested: { Second: second } }));
      const nested = element?.children.find(({ name }) => name === 'Nested');
      expect(element && childText(element, 'First')).toBe(first);
      expect(nested && childText(nested, 'Second')).toBe(second);
    }),
  );
});

test('lists repeat their element, and what is undefined is left out', () => {
  expect(xmlDocument('R', { A: ['1', '2'], B: undefined, C: [{ D: 3 }] }, null)).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n<R><A>1</A><A>2</A><C><D>3</D></C></R>',
  );
});

test('reads what clients write', () => {
  const text = `<?xml version='1.0'?>
    <!-- a comment --><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <Object><Key>a &amp; b&#10;&#xe9;</Key></Object><Quiet/>
    </Delete>`;
  const root = parseXml(text);
  expect(root?.children.map(({ name }) => name)).toEqual(['Object', 'Quiet']);
  expect(root?.children[0] && childText(root.children[0], 'Key')).toBe('a & b\né');
});

test.for(['', 'text', '<a>', '<a></b>', '<a/><b/>', '<a', '<a></a>x', '<!DOCTYPE a><a/>', '<a b=c/>'])(
  'refuses %j',
  (text) => {
    expect(parseXml(text)).toBeUndefined();
  },
);
