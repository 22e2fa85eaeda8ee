/** `npm run build`: dist/, which a package of npm brings; `npm pack` runs it. */
import { join } from 'node:path';
import { bundle, repository } from './bundle.ts';
import { writeLicences } from './licences.ts';

const folder = join(repository, 'dist');
const { packages } = await bundle(folder);
await writeLicences(packages, join(folder, 'THIRD-PARTY-LICENSES.txt'));
