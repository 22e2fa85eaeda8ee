import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The guides in docs/, and what can be picked out of them. */

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** English guide → its Spanish twin. */
export const twins = {
  'docs/aws.md': 'docs/es/aws.md',
  'docs/operations.md': 'docs/es/operaciones.md',
  'docs/user-guide.md': 'docs/es/guia-de-usuario.md',
  'docs/training.md': 'docs/es/capacitacion.md',
  'docs/review-checklist.md': 'docs/es/lista-de-revision.md',
} as const;

export const guideFiles: readonly string[] = Object.entries(twins).flat();

export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

export interface Guide {
  readonly file: string;
  readonly headings: readonly { readonly level: number; readonly text: string }[];
  readonly blocks: readonly CodeBlock[];
  /** `…` outside of blocks. */
  readonly inline: readonly string[];
  readonly links: readonly string[];
  /** Each with its header first; cells trimmed. */
  readonly tables: readonly (readonly (readonly string[])[])[];
}

export function readGuide(file: string): Guide {
  const text = readFileSync(root + file, 'utf8');
  const blocks: CodeBlock[] = [];
  const prose = text.replace(
    /^( *)```(\w*)\n([\s\S]*?)^\1```$/gm,
    (_all, indent: string, language: string, code: string) => {
      blocks.push({ language, text: code.replaceAll(new RegExp(`^${indent}`, 'gm'), '') });
      return '';
    },
  );
  const lines = prose.split('\n');
  return {
    file,
    blocks,
    headings: lines.flatMap((line) => {
      const [, marks, heading] = /^(#+) (.*)$/.exec(line) ?? [];
      return marks === undefined || heading === undefined ? [] : [{ level: marks.length, text: heading }];
    }),
    inline: [...prose.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code),
    links: [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target),
    tables: tablesIn(lines),
  };
}

function tablesIn(lines: readonly string[]): string[][][] {
  const tables: string[][][] = [];
  let isInside = false;
  for (const line of lines) {
    const isRow = line.startsWith('|');
    if (isRow && !isInside) tables.push([]);
    isInside = isRow;
    if (isRow && !/^[|\s:-]+$/.test(line)) tables.at(-1)?.push(cellsOf(line));
  }
  return tables;
}

const cellsOf = (line: string): string[] =>
  line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The anchor that a heading gets, as GitHub makes it. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');

/** Command lines of the shell, continued ones joined, comments left out. */
export const commandLinesOf = ({ blocks, inline }: Guide): string[] => [
  ...blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim()),
  ...inline,
];
