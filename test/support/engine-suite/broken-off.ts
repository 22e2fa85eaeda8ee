import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { type Dropped, type EngineBench, partBytes } from './engine-bench.ts';

/** An upload that ends in its middle goes on later, and leaves nothing behind. */
export function describeBrokenOff(bench: EngineBench): void {
  const { drop, stored, expectStored, leftovers, partsSent } = bench;

  describe('an upload that is broken off', () => {
    async function breakOffAt(file: Dropped, brokenPart: number): Promise<void> {
      const stop = new AbortController();
      const reason = new Error('the daemon stops');
      bench.proxy.fresh(({ operation, part }) => {
        if (operation !== 'UploadPart' || part !== brokenPart) return undefined;
        stop.abort(reason);
        return 'hang';
      });
      await expect(file.store({}, stop.signal)).rejects.toBe(reason);
      await expect.poll(() => bench.proxy.open).toBe(0);
      bench.proxy.fresh();
    }

    it('leaves no request under way', async () => {
      const file = await drop(4 * partBytes);
      await breakOffAt(file, 3);
      const resume = file.notes.progress();
      if (resume) await bench.s3.abort(file.key, resume.uploadId, new AbortController().signal);
      expect(await leftovers(file.key)).toBe(0);
    });

    it(`goes on where it was, or from the beginning where the engine can't`, async () => {
      const file = await drop(7 * partBytes);
      await breakOffAt(file, 5);
      const resume = file.notes.progress();
      expect(await file.store({ resume })).toMatchObject({ kind: 'stored', object: { partCount: 7 } });
      await expectStored(file);
      expect(await leftovers(file.key)).toBe(0);
      const again = partsSent().reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
      if (bench.engine === 'native') expect(again).toBe((7 - (resume?.parts.length ?? 0)) * partBytes);
      else expect(again).toBe(7 * partBytes);
    });

    it('begins anew where S3 has other bytes', async () => {
      const file = await drop(4 * partBytes);
      await breakOffAt(file, 3);
      await writeFile(file.path, Buffer.from(file.bytes).fill(7, 0, 10));
      const resume = file.notes.progress();
      const changed = { ...file, bytes: Buffer.from(file.bytes).fill(7, 0, 10) };
      expect(await changed.store({ resume })).toMatchObject({ kind: 'stored' });
      await expectStored(changed);
      expect(await leftovers(file.key)).toBe(0);
    });

    it('begins anew where S3 has forgotten it', async () => {
      const file = await drop(3 * partBytes);
      await breakOffAt(file, 2);
      const resume = file.notes.progress();
      if (resume) await bench.s3.abort(file.key, resume.uploadId, new AbortController().signal);
      expect(await file.store({ resume })).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });

    it('is aborted where the file goes under another key', async () => {
      const file = await drop(3 * partBytes);
      await breakOffAt(file, 2);
      const key = `${file.key}~other`;
      expect(await file.store({ resume: file.notes.progress(), key })).toMatchObject({ kind: 'stored' });
      expect(await leftovers(file.key)).toBe(0);
      expect(await stored(file.key)).toBeUndefined();
    });
  });
}
