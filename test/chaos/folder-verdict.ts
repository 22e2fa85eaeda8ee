import { readFileSync } from 'node:fs';
import type { RelativePath } from '../../src/model.ts';
import { textOf } from '../../src/service/path-bytes.ts';
import { filesIn, placeOf, sha256OfFile } from '../support/daemon-files.ts';
import type { Row, Workplace } from '../support/daemon-workplace.ts';
import type { KnownFile, KnownFiles, Occurrence } from './known-files.ts';
import { conflictsIn, describe, eachOf, type Find, pathText, withoutId } from './occurrences.ts';

interface Truth {
  readonly rows: readonly Row[];
  readonly known: KnownFiles;
}

/** A file that lies somewhere. */
interface FoundFile {
  readonly path: RelativePath;
  readonly sha256: string;
}

/** Every file is where it belongs, and nothing else is there. */
export async function judgeFolders(place: Workplace, truth: Truth, find: Find): Promise<void> {
  const { config, inbox, archive, quarantine } = place;
  const { known } = truth;
  const afterUpload = config.dropFolder?.afterUpload ?? 'archive';
  const inInbox = await hashed(inbox, await filesIn(inbox));
  for (const path of known.ignored)
    if (!inInbox.some((file) => file.path === path)) find(`${textOf(path)}: an unfinished file was taken`);
  const left = inInbox.filter(({ path }) => !known.ignored.has(path));
  const archived = await hashed(archive, await filesIn(archive));
  if (afterUpload !== 'keep' && left.length > 0) find(`left in the drop folder: ${namesOf(left)}`);
  if (afterUpload !== 'archive' && archived.length > 0) find(`in the archive: ${namesOf(archived)}`);

  const rejected = known.all.filter((file) => file.rejected !== undefined);
  const contents = new Set(rejected.flatMap(({ occurrences }) => occurrences.map(({ sha256 }) => sha256)));
  const quarantined = await judgeReasons(quarantine, find);
  const byRejection = Map.groupBy(quarantined, ({ sha256 }) => contents.has(sha256));
  judgePlaces('the quarantine', byRejection.get(true) ?? [], { files: rejected, allMustBeThere: true }, find);
  const conflicting = byRejection.get(false) ?? [];
  judgeConflicting(conflicting, truth, find);
  const accepted = known.all.filter((file) => file.rejected === undefined);
  const where = afterUpload === 'keep' ? 'the drop folder' : 'the archive';
  const there = [...left, ...archived, ...conflicting];
  judgePlaces(where, there, { files: accepted, allMustBeThere: afterUpload !== 'delete' }, find);
}

async function hashed(folder: string, paths: readonly RelativePath[]): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  await eachOf(paths, 8, async (path) => {
    found.push({ path, sha256: await sha256OfFile(placeOf(folder, path)) });
  });
  return found;
}

interface QuarantinedFile extends FoundFile {
  /** As its reason has it. */
  readonly ledgerId: string;
}

/** What is in quarantine; each file has its reason beside it. */
async function judgeReasons(quarantine: string, find: Find): Promise<QuarantinedFile[]> {
  const all = await filesIn(quarantine);
  const reasons = new Set(all.filter((path) => path.endsWith('.reason.json')));
  const reasonOf = (path: RelativePath) => `${path}.reason.json` as RelativePath;
  const found = all.filter((path) => !reasons.has(path));
  const alone = found.filter((path) => !reasons.has(reasonOf(path)));
  if (alone.length > 0) find(`in quarantine without a reason: ${alone.map(textOf).join(', ')}`);
  if (reasons.size + alone.length > found.length)
    find(`${reasons.size} reasons for ${found.length} files in quarantine`);
  const explained = await hashed(
    quarantine,
    found.filter((path) => reasons.has(reasonOf(path))),
  );
  return explained.map((file) => {
    const { ledgerId } = JSON.parse(readFileSync(placeOf(quarantine, reasonOf(file.path)), 'utf8'));
    return { ...file, ledgerId };
  });
}

/**
 * Files whose keys were taken: each in quarantine has a row, and each row its file, unless a writer destroyed that
 * meanwhile or made something else of it.
 */
function judgeConflicting(found: readonly QuarantinedFile[], { rows, known }: Truth, find: Find): void {
  const missing = new Map([...conflictsIn(rows)].map(([path, failed]) => [path, new Set(failed.map(({ id }) => id))]));
  const idsLeft = new Map([...missing.values()].flatMap((ids) => [...ids].map((id) => [id, ids])));
  for (const { path, ledgerId } of found) {
    if (idsLeft.get(ledgerId)?.delete(ledgerId) !== true)
      find(`${textOf(path)}: in quarantine without a row of its own`);
  }
  for (const [path, ids] of missing) {
    const spared = known.all.flatMap((file) => statesThatLeft(file, path)).length;
    if (ids.size > spared) find(`${path}: ${ids.size} rows failed whose files are not in quarantine: ${[...ids]}`);
  }
}

/** States under this path that may have been seen, and recorded, before a writer ended them. */
function statesThatLeft({ fate, last, occurrences, isLate }: KnownFile, path: string): Occurrence[] {
  const isOver = fate !== 'whole' || isLate || pathText(last) !== path || occurrences.length > 1;
  return isOver ? occurrences.filter((state) => pathText(state) === path) : [];
}

interface Belonging {
  readonly files: readonly KnownFile[];
  readonly allMustBeThere: boolean;
}

/** Each whole file is there once, no destroyed one is, each under a name that it had. */
function judgePlaces(name: string, found: readonly FoundFile[], belonging: Belonging, find: Find): void {
  const there = Map.groupBy(found, ({ sha256 }) => sha256);
  const possible = Map.groupBy(
    belonging.files.filter(({ fate }) => fate !== 'destroyed'),
    ({ last }) => last.sha256,
  );
  for (const [sha256, files] of there) {
    const owners = possible.get(sha256) ?? [];
    const names = new Set(owners.flatMap(({ occurrences }) => occurrences.map(pathText)));
    const listed = files.map(({ path }) => textOf(path));
    if (listed.length > owners.length) find(`${name}: ${listed.join(', ')} are of ${owners.length} files`);
    else if (!listed.every((path) => names.has(withoutId(path)) || isCut(path)))
      find(`${name}: ${listed.join(', ')}: never called so, but ${[...names].join(', ')}`);
  }
  if (!belonging.allMustBeThere) return;
  for (const [sha256, owners] of possible) {
    const whole = owners.filter(({ fate }) => fate === 'whole');
    const count = there.get(sha256)?.length ?? 0;
    if (count < whole.length)
      find(
        `${name}: ${whole.map(({ last }) => pathText(last)).join(', ')} is there ${count} times (${describe(whole[0] as KnownFile)})`,
      );
  }
}

const namesOf = (files: readonly FoundFile[]): string => files.map(({ path }) => textOf(path)).join(', ');

/** A name that was made longer than 255 bytes by a mark was cut. */
const isCut = (path: string): boolean => Buffer.byteLength(path.slice(path.lastIndexOf('/') + 1)) > 240;
