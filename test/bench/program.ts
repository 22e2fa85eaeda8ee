import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, repository } from '../../packaging/bundle.ts';

/** Makes the program in an empty folder as packages bring it: that is what people run. */
export async function packProgram(folder: string): Promise<void> {
  await bundle(join(folder, 'dist'));
  for (const name of ['bin', 'package.json']) await cp(join(repository, name), join(folder, name), { recursive: true });
  await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'));
}
