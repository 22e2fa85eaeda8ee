import { randomBytes } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What the demo drops: each shows something. Contents are made here, so that the package carries no data. */
const samples: readonly {
  readonly path: string;
  readonly encoding?: 'latin1';
  readonly content: () => string | Buffer;
}[] = [
  { path: 'welcome.txt', content: () => 'Drop a file in the folder. It is in the bucket exactly once.\n' },
  { path: 'facturas/2026/noviembre, n.º 17.csv', content: () => 'fecha;importe\n2026-11-21;1250,00\n' },
  { path: 'fotos/mañana 🌅.bin', content: () => randomBytes(300_000) },
  { path: 'empty.dat', content: () => '' },
  { path: 'backups/large.img', content: () => randomBytes(24 * 2 ** 20) },
  { path: 'invoice \xe9t\xe9.txt', encoding: 'latin1', content: () => 'a name from an old Windows share: not UTF-8\n' },
];

export const sampleCount = samples.length;

/** Drops the samples as a careful producer does: written under a hidden name, then renamed. */
export async function dropSamples(folder: string): Promise<void> {
  for (const { path, encoding = 'utf8', content } of samples) {
    const target = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, encoding)]);
    const parent = join(folder, dirname(path));
    await mkdir(parent, { recursive: true });
    const unfinished = join(parent, '.unfinished');
    await writeFile(unfinished, content());
    await rename(unfinished, target);
  }
}
