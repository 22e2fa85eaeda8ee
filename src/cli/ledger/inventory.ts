/**
 * An S3 Inventory as it is delivered: a manifest.json, and gzipped CSV files without a head line, keys percent-encoded.
 * Amazon S3 User Guide, "Locating your inventory list".
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import type { ListedObject } from '../../s3/read-objects.ts';
import { LocalFailure, messageOf } from '../../service/errors.ts';

export interface Inventory {
  readonly bucket: string;
  /** Objects stored later may be missing in it. */
  readonly createdAt: Date;
  /** Current objects whose key begins so, about a thousand at a time. */
  pages(keyPrefix: string): AsyncGenerator<ListedObject[]>;
}

const manifestSchema = z.object({
  sourceBucket: z.string(),
  creationTimestamp: z.string().regex(/^\d+$/),
  fileFormat: z.string(),
  fileSchema: z.string(),
  files: z.array(z.object({ key: z.string(), MD5checksum: z.string() })),
});

const needed = ['Key', 'Size', 'LastModifiedDate'];
const pageSize = 1000;

/** `manifestFile` is the manifest.json; its data files lie beside it or in `data/`. @throws LocalFailure */
export async function openInventory(manifestFile: string): Promise<Inventory> {
  const manifest = await readManifest(manifestFile);
  const { sourceBucket, creationTimestamp, fileFormat, fileSchema, files } = manifest;
  if (fileFormat !== 'CSV') throw broken(manifestFile, `its format is ${fileFormat}`, 'Have it delivered as CSV.');
  const columns = fileSchema.split(',').map((name) => name.trim());
  const missing = needed.filter((name) => !columns.includes(name));
  if (missing.length > 0)
    throw broken(
      manifestFile,
      `it has no ${missing.join(', ')}`,
      'Add these (and ETag) to the fields of the inventory.',
    );

  return {
    bucket: sourceBucket,
    createdAt: new Date(Number(creationTimestamp)),
    async *pages(keyPrefix) {
      let page: ListedObject[] = [];
      for (const { key, MD5checksum } of files) {
        const file = await dataFile(manifestFile, key, MD5checksum);
        for await (const line of createInterface(createReadStream(file).pipe(createGunzip()))) {
          const object = objectIn(columns, line);
          if (object?.key.startsWith(keyPrefix)) page.push(object);
          if (page.length < pageSize) continue;
          yield page;
          page = [];
        }
      }
      if (page.length > 0) yield page;
    },
  };
}

async function readManifest(file: string): Promise<z.infer<typeof manifestSchema>> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw broken(file, messageOf(cause), 'Name the manifest.json of an S3 Inventory, downloaded with its data files.');
  }
}

/** Wherever `aws s3 cp --recursive` put it; whole, by the checksum that S3 gave it. */
async function dataFile(manifestFile: string, key: string, md5: string): Promise<string> {
  const folder = dirname(manifestFile);
  const places = ['.', 'data', '../data'].map((place) => join(folder, place, basename(key)));
  const file = places.find((place) => existsSync(place));
  if (file === undefined)
    throw broken(manifestFile, `${basename(key)} is missing`, `Download it to ${join(folder, 'data')}.`);
  const hash = createHash('md5');
  await pipeline(createReadStream(file), hash);
  if (hash.digest('hex') !== md5) throw broken(file, 'its MD5 is not the one in the manifest', 'Download it again.');
  return file;
}

/** Undefined for what is no current object: an old version, a delete marker. */
function objectIn(columns: readonly string[], line: string): ListedObject | undefined {
  const values = [...line.matchAll(/"((?:[^"]|"")*)"|([^,]+)|(?<=^|,)(?=,|$)/g)].map(
    ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '',
  );
  const value = (name: string) => values[columns.indexOf(name)] ?? '';
  if (value('IsLatest') === 'false' || value('IsDeleteMarker') === 'true') return undefined;
  return {
    key: decodeURIComponent(value('Key').replaceAll('+', ' ')),
    size: Number(value('Size')),
    etag: value('ETag').replaceAll('"', ''),
    lastModified: new Date(value('LastModifiedDate')),
  };
}

const broken = (file: string, why: string, hint: string) =>
  new LocalFailure(`the inventory ${file} can't be used: ${why}`, { hint });
