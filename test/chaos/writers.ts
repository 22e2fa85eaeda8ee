/** Does in the drop folder what the plan says, and notes what is certain about it and what is not. */
import { chmod, unlink, utimes, writeFile } from 'node:fs/promises';
import type { RelativePath } from '../../src/model.ts';
import { joinPath, pathFromBytes, pathFromText } from '../../src/service/path-bytes.ts';
import { hostileNames } from '../support/sample-tree.ts';
import { bytesOfContent, type Content, sha256OfBytes } from './content.ts';
import { createInPlaceWriter } from './in-place.ts';
import { createFolderWriter } from './whole-folders.ts';
import { createWriterFiles, ifThere, openIfThere, type WriterPlaces } from './writer-files.ts';
import type { WriterAct } from './writer-plan.ts';

const tooLong = /object key would have \d+ bytes/;
const hostile = [
  ...hostileNames.map(({ name, rejected }) => ({ name: pathFromBytes(name), rejected })),
  { name: pathFromText(Array(5).fill('k'.repeat(220)).join('/')), rejected: tooLong },
];

export function createWriter(places: WriterPlaces) {
  const files = createWriterFiles(places);
  const { at, known } = files;
  const inPlace = createInPlaceWriter(files);
  const folders = createFolderWriter(files);
  const lastPut = new Map<RelativePath, Content>();

  const put = async (path: RelativePath, content: Content, from: 'outside' | 'beside', rejected?: RegExp) => {
    const bytes = bytesOfContent(content);
    await files.makeParent(path);
    const beside = at(`${path}.filepart` as RelativePath);
    if (from === 'beside') await writeFile(beside, bytes);
    const staging = from === 'beside' ? beside : await files.stage(bytes);
    lastPut.set(path, content);
    await files.replace(staging, { path, sha256: sha256OfBytes(bytes), size: bytes.length, rejected });
  };

  const putAgain = async (path: RelativePath): Promise<void> => {
    const content = lastPut.get(path);
    if (content !== undefined) await put(path, content, 'outside');
  };

  const remove = async (path: RelativePath): Promise<void> => {
    const held = await openIfThere(at(path));
    try {
      if (await ifThere(unlink(at(path)))) await files.noteFate(known.at(path), held);
    } finally {
      await held?.close();
    }
  };

  const setTimes = async (path: RelativePath): Promise<void> => {
    const now = new Date();
    const file = known.at(path);
    // it may count as another file with the same bytes
    if ((await ifThere(utimes(at(path), now, now))) && file !== undefined) known.became(file, {});
  };

  const leaveUnfinished = async (path: RelativePath, content: Content): Promise<void> => {
    await files.makeParent(path);
    await writeFile(at(path), bytesOfContent(content));
    known.ignored.add(path);
  };

  const putHostile = (folder: RelativePath, { name: index, content }: { name: number; content: Content }) => {
    const { name, rejected } = hostile[index % hostile.length] as (typeof hostile)[number];
    return put(joinPath(folder, name), content, 'outside', rejected);
  };

  return async (act: WriterAct): Promise<unknown> => {
    const path = pathFromText('path' in act ? act.path : 'folder' in act ? act.folder : act.from);
    switch (act.does) {
      case 'put':
        return put(path, act.content, act.from);
      case 'put-again':
        return putAgain(path);
      case 'put-hostile':
        return putHostile(path, act);
      case 'write':
        return inPlace.write(path, act);
      case 'append':
        return inPlace.append(path, act.content);
      case 'delete':
        return remove(path);
      case 'set-mode':
        return ifThere(chmod(at(path), act.mode));
      case 'set-times':
        return setTimes(path);
      case 'bring-folder':
        return folders.bring(path, act.files);
      case 'rename-folder':
        return folders.rename(path, pathFromText(act.to));
      case 'take-folder':
        return folders.take(path);
      case 'copy':
        return folders.copy(path, act.files);
      case 'rsync':
        return folders.mirror(path, act.changed);
      case 'leave-unfinished':
        return leaveUnfinished(path, act.content);
    }
  };
}
