import type { RelativePath } from '../../src/model.ts';
import { textOf } from '../../src/service/path-bytes.ts';
import { filesIn, placeOf, sha256OfFile } from '../support/daemon-files.ts';
import type { Workplace } from '../support/daemon-workplace.ts';
import type { KnownFile, KnownFiles } from './known-files.ts';
import { describe, eachOf, type Find, pathText, withoutId } from './occurrences.ts';

/** Every file is where it belongs, and nothing else is there. */
export async function judgeFolders(place: Workplace, known: KnownFiles, find: Find): Promise<void> {
  const { config, inbox, archive } = place;
  const afterUpload = config.dropFolder?.afterUpload ?? 'archive';
  const accepted = known.all.filter((file) => file.rejected === undefined);
  const inInbox = await filesIn(inbox);
  for (const path of known.ignored) if (!inInbox.includes(path)) find(`${textOf(path)}: an unfinished file was taken`);
  const left = inInbox.filter((path) => !known.ignored.has(path));
  const belong = (where: typeof afterUpload) => (afterUpload === where ? accepted : []);
  await judgeFolder({ name: 'the drop folder', folder: inbox, found: left }, belong('keep'), find);
  const archived = await filesIn(archive);
  await judgeFolder({ name: 'the archive', folder: archive, found: archived }, belong('archive'), find);
  await judgeQuarantine(place, known, find);
}

async function judgeQuarantine({ quarantine }: Workplace, known: KnownFiles, find: Find): Promise<void> {
  const all = await filesIn(quarantine);
  const reasons = new Set(all.filter((path) => path.endsWith('.reason.json')));
  const found = all.filter((path) => !reasons.has(path));
  const rejected = known.all.filter((file) => file.rejected !== undefined);
  await judgeFolder({ name: 'the quarantine', folder: quarantine, found }, rejected, find);
  const alone = found.filter((path) => !reasons.has(`${path}.reason.json` as RelativePath));
  if (alone.length > 0) find(`in quarantine without a reason: ${alone.map(textOf).join(', ')}`);
  if (reasons.size + alone.length > found.length)
    find(`${reasons.size} reasons for ${found.length} files in quarantine`);
}

interface Found {
  readonly name: string;
  readonly folder: string;
  readonly found: readonly RelativePath[];
}

/** Each whole file is there once, no destroyed one is, each under a name that it had. */
async function judgeFolder({ name, folder, found }: Found, files: readonly KnownFile[], find: Find): Promise<void> {
  const there = new Map<string, RelativePath[]>();
  await eachOf(found, 8, async (path) => {
    const sha256 = await sha256OfFile(placeOf(folder, path));
    there.set(sha256, [...(there.get(sha256) ?? []), path]);
  });
  const possible = Map.groupBy(
    files.filter(({ fate }) => fate !== 'destroyed'),
    ({ last }) => last.sha256,
  );
  for (const [sha256, paths] of there) {
    const owners = possible.get(sha256) ?? [];
    const names = new Set(owners.flatMap(({ occurrences }) => occurrences.map(pathText)));
    const listed = paths.map(textOf);
    if (listed.length > owners.length) find(`${name}: ${listed.join(', ')} are of ${owners.length} files`);
    else if (!listed.every((path) => names.has(withoutId(path)) || isCut(path)))
      find(`${name}: ${listed.join(', ')}: never called so, but ${[...names].join(', ')}`);
  }
  for (const [sha256, owners] of possible) {
    const whole = owners.filter(({ fate }) => fate === 'whole');
    const count = there.get(sha256)?.length ?? 0;
    if (count < whole.length)
      find(
        `${name}: ${whole.map(({ last }) => pathText(last)).join(', ')} is there ${count} times (${describe(whole[0] as KnownFile)})`,
      );
  }
}

/** A name that was made longer than 255 bytes by a mark was cut. */
const isCut = (path: string): boolean => Buffer.byteLength(path.slice(path.lastIndexOf('/') + 1)) > 240;
