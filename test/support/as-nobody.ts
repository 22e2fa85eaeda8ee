import { spawn } from 'node:child_process';
import { chown } from 'node:fs/promises';
import { tempFolder } from './temp-folder.ts';

const nobody = 65534;
const root = new URL('../../', import.meta.url);

/**
 * Runs a piece of a program as a user without any rights, where the tests are run by root, for whom no permission
 * counts; else as whoever runs them. It has `at(...)`, a path in an empty folder of its own, and `load(file)` for the
 * project's own modules; what it returns comes back.
 */
export async function runAsNobody<T>(body: string): Promise<T> {
  await using folder = await tempFolder();
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) await chown(folder.path, nobody, nobody);
  const program = `
    import { join } from 'node:path';
    const at = (...segments) => join(${JSON.stringify(folder.path)}, ...segments);
    const load = (file) => import(new URL(file, ${JSON.stringify(root.href)}).href);
    const main = async () => { ${body} };
    console.log(JSON.stringify(await main()));`;
  const drop = isRoot ? ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : [];
  const [command = '', ...args] = [...drop, process.execPath, '--input-type=module', '--eval', program];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [output, complaints] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  try {
    return JSON.parse(output.join('')) as T;
  } catch {
    throw new Error(`it printed no result: ${output.join('')}${complaints.join('')}`);
  }
}
