import { spawn } from 'node:child_process';
import { chown } from 'node:fs/promises';
import { tempFolder } from './temp-folder.ts';

const nobody = 65534;
const root = new URL('../../', import.meta.url);
const giveRootUp = `process.setgroups([]); process.setgid(${nobody}); process.setuid(${nobody});`;

/**
 * Runs a piece of a program as a user without any rights, where the tests are run by root, for whom no permission
 * counts; else as whoever runs them. It has `at(...)`, a path in an empty folder of its own, and `load('file')` for the
 * project's own modules; what it returns comes back. Those modules are loaded before root is given up: the project may
 * lie where nobody may not look.
 */
export async function runAsNobody<T>(body: string): Promise<T> {
  await using folder = await tempFolder();
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) await chown(folder.path, nobody, nobody);
  const modules = [...body.matchAll(/load\('([^']+)'\)/g)].map(([, file = '']) => file);
  const program = `
    import { join } from 'node:path';
    const at = (...segments) => join(${JSON.stringify(folder.path)}, ...segments);
    const load = (file) => import(new URL(file, ${JSON.stringify(root.href)}).href);
    const main = async () => { ${body} };
    for (const file of ${JSON.stringify(modules)}) await load(file);
    ${isRoot ? giveRootUp : ''}
    console.log(JSON.stringify(await main()));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, complaints] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  try {
    return JSON.parse(output.join('')) as T;
  } catch {
    throw new Error(`it printed no result: ${output.join('')}${complaints.join('')}`);
  }
}
