/** The licences of the npm packages that are part of the bundle: they ask to go where the code goes. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const licenceFile = /^(licen[cs]e|notice|copying)(\.(md|txt|mit|apache))?$/i;

/** One text for all of `folders` (each a package under node_modules). */
export async function licencesOf(folders: readonly string[]): Promise<string> {
  const parts: string[] = [];
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const files = (await readdir(folder)).filter((file) => licenceFile.test(file)).sort();
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    const rule = '─'.repeat(80);
    parts.push(
      `${rule}\n${name} ${version} (${license})\n${rule}\n\n${texts.map((text) => text.trim()).join('\n\n')}\n`,
    );
  }
  return parts.join('\n');
}

export const writeLicences = async (folders: readonly string[], file: string): Promise<void> =>
  writeFile(file, await licencesOf(folders));
