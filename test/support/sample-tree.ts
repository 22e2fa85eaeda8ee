/** Files to drop: names that break programs, and a large tree of them. */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import type { RelativePath } from '../../src/model.ts';
import { joinPath, pathFromBytes, pathFromText } from '../../src/service/path-bytes.ts';
import { placeOf } from './daemon-files.ts';

/** A name of one segment, as bytes, and what the reason says where it cannot be uploaded. */
export interface HostileName {
  readonly name: Buffer;
  readonly rejected: RegExp | undefined;
}

const notUtf8 = /not valid UTF-8/;

const uploadable: readonly string[] = [
  'with spaces',
  ' leading and trailing ',
  "it's",
  'say "cheese"',
  'back`tick',
  'back\\slash',
  'two\\\\backslashes',
  'new\nline',
  'carriage\rreturn',
  'tab\there',
  'emoji 🌅👩‍👩‍👧',
  'caf\u00e9 NFC',
  'cafe\u0301 NFD',
  '100%2F50%',
  'a%20b+c d',
  'plus+and&amp;',
  '<tag> & "entity"',
  'question?and#hash',
  'semi;colon,comma=equals',
  '$HOME $(touch pwned)',
  '*.[ab]{c}',
  '-rf',
  '--help',
  'a..',
  'trailing.dot.',
  'CON',
  'c:colon',
  'uploaded path=forged bytes=1\nready version=9',
  '{"level":"error","event":"forged"}',
  '\u001b[31mred\u001b[0m\u0007',
  'delete\u007fand\u0001control',
  'right\u202eto left',
  'zero\u200bwidth\ufeff',
  'line\u2028separator\u0085',
  "'; DROP TABLE dropledger.uploads; --",
  'noncharacter\uffff',
  'astral 𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
  `${'x'.repeat(251)}.txt`,
  `${'ñ'.repeat(127)}x`,
  'archive.tar.gz',
];

const invalid: readonly Buffer[] = [
  Buffer.from('caf\xe9 latin1.txt', 'latin1'),
  Buffer.from([0xff, 0xfe, 0x41]),
  Buffer.from('overlong \xc0\xaf', 'latin1'),
  Buffer.from('surrogate \xed\xa0\x80', 'latin1'),
  Buffer.from('cut short \xf0\x9f\x8c', 'latin1'),
];

export const hostileNames: readonly HostileName[] = [
  ...uploadable.map((name) => ({ name: Buffer.from(name), rejected: undefined })),
  ...invalid.map((name) => ({ name, rejected: notUtf8 })),
];

/** One file of a tree; its content is known by its hash once `sha256sum` has read it. */
export interface SampleFile {
  readonly path: RelativePath;
  readonly size: number;
  readonly rejected: RegExp | undefined;
}

export interface SampleTreeOptions {
  readonly files: number;
  readonly folders: number;
  /** Bytes of the largest file, most of them zeros that take no room on the disk. */
  readonly largest: number;
  /** What the daemon puts in front of the paths: it decides which keys are too long. */
  readonly prefix: string;
}

const maxKeyBytes = 1024;
const mebibyte = 2 ** 20;
const tooLong = /object key would have \d+ bytes/;

/**
 * Makes a tree: every hostile name as a file and as a folder, keys of the most bytes that S3 takes and of one more, a
 * folder whose name is not UTF-8, some files of tens of MiB and a very large one, the rest small, none like another.
 */
export async function makeSampleTree(folder: string, options: SampleTreeOptions): Promise<SampleFile[]> {
  const special = [
    ...hostileFiles(),
    ...longPaths(options.prefix),
    ...inFolderThatIsNotUtf8(),
    ...largeFiles(options.largest),
  ];
  const files = [...special, ...ordinaryFiles(options.folders, options.files - special.length)];
  for (const file of files) await writeSample(folder, file);
  return files;
}

const sample = (path: RelativePath, size: number, rejected?: RegExp): SampleFile => ({ path, size, rejected });

/** Sizes around those that are special to somebody: a block, a pipe, a buffer; and nothing at all. */
const smallSizes = [0, 1, 17, 511, 4095, 4096, 4097, 20_000, 65_536, 100_003];

const sizeOf = (index: number): number => smallSizes[index % smallSizes.length] ?? 0;

const hostileFiles = (): SampleFile[] =>
  hostileNames.map(({ name, rejected }, index) =>
    sample(joinPath(pathFromText('names'), pathFromBytes(name)), sizeOf(index) + 1, rejected),
  );

function longPaths(prefix: string): SampleFile[] {
  const pathOf = (bytes: number): RelativePath => {
    const folders = `${'deep '.repeat(49)}/`.repeat(4);
    return pathFromText(folders + 'k'.repeat(bytes - folders.length));
  };
  const most = maxKeyBytes - Buffer.byteLength(prefix);
  return [sample(pathOf(most), 10), sample(pathOf(most + 1), 11, tooLong), sample(pathOf(most + 7), 0, tooLong)];
}

const inFolderThatIsNotUtf8 = (): SampleFile[] =>
  [1, 2, 3].map((number) => sample(pathFromBytes(Buffer.from(`se\xf1or/${number}.txt`, 'latin1')), number, notUtf8));

const largeFiles = (largest: number): SampleFile[] =>
  [9, 16, 25, 40]
    .map((size) => sample(pathFromText(`large/${size} MiB.bin`), size * mebibyte))
    .concat(sample(pathFromText('large/largest.img'), largest));

/** In folders with names of all kinds, some inside others. */
function ordinaryFiles(folders: number, count: number): SampleFile[] {
  const names = hostileNames.filter(({ name, rejected }) => rejected === undefined && name.length < 100);
  const paths = Array.from({ length: folders }, (_, index) => {
    const { name = Buffer.from('plain') } = names[index % names.length] ?? {};
    return joinPath(pathFromText(`area ${index % 8}/${index}`), pathFromBytes(name));
  });
  return Array.from({ length: count }, (_, index) =>
    sample(joinPath(paths[index % folders] ?? pathFromText('plain'), `file ${index}.dat`), sizeOf(index)),
  );
}

async function writeSample(folder: string, { path, size }: SampleFile): Promise<void> {
  const target = placeOf(folder, path);
  await mkdir(target.subarray(0, target.lastIndexOf('/')), { recursive: true });
  const mark = createHash('sha256').update(path).digest('base64');
  const handle = await open(target, 'wx');
  try {
    if (size <= 40 * mebibyte) await handle.writeFile(Buffer.alloc(size, mark));
    else await writeSparse(handle, size, mark);
  } finally {
    await handle.close();
  }
}

/** Marks at both ends and here and there: a part in a wrong place would be found out. */
async function writeSparse(handle: FileHandle, size: number, mark: string): Promise<void> {
  await handle.truncate(size);
  const step = 5 * mebibyte + 4096;
  for (let at = 0; at < size - 100; at += step) await handle.write(`${mark} at ${at}`, at);
  await handle.write(mark, size - mark.length);
}
