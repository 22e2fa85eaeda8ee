import { randomBytes } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What the demo drops: each shows something. Contents are made here, so that the package carries no data. */
const samples: readonly { readonly path: string; readonly content: () => string | Buffer }[] = [
  { path: 'welcome.txt', content: () => 'Drop a file in the folder. It is in the bucket exactly once.\n' },
  { path: 'facturas/2026/noviembre, n.º 17.csv', content: () => 'fecha;importe\n2026-11-21;1250,00\n' },
  { path: 'fotos/mañana 🌅.bin', content: () => randomBytes(300_000) },
  { path: 'empty.dat', content: () => '' },
  { path: 'backups/large.img', content: () => randomBytes(24 * 2 ** 20) },
  {
    path: `too-long/${'k'.repeat(200)}/${'e'.repeat(200)}/${'y'.repeat(200)}/${'s'.repeat(200)}/${'!'.repeat(250)}`,
    content: () => 'no key can be that long',
  },
];

export const sampleCount = samples.length;

/** Drops the samples as a careful producer does: written under a hidden name, then renamed. */
export async function dropSamples(folder: string): Promise<void> {
  for (const { path, content } of samples) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    const unfinished = join(dirname(target), `.dropping-${process.pid}`);
    await writeFile(unfinished, content());
    await rename(unfinished, target);
  }
}
