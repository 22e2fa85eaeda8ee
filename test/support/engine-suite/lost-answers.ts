import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { type EngineBench, partBytes, sha256 } from './engine-bench.ts';

/** An answer that never came: what was done is found out, and nothing is done twice. */
export function describeLostAnswers(bench: EngineBench): void {
  const { drop, stored, expectStored, leftovers } = bench;

  describe('an answer that is lost', () => {
    it('at a put leaves the object, and the question whose it is', async () => {
      const file = await drop(1000);
      bench.proxy.fresh(({ operation, attempt }) =>
        operation === 'PutObject' && attempt === 1 ? 'lost-answer' : undefined,
      );
      const outcome = await file.store();
      expect(outcome).toMatchObject(
        bench.differences.noConditionalPuts
          ? { kind: 'stored' }
          : { kind: 'key-taken', ours: 'unknown', sha256: sha256(file.bytes) },
      );
      await expectStored(file);
      expect(file.notes.written).toEqual(['storing']);
    });

    it('at a put that never arrived is made good', async () => {
      const file = await drop(1000);
      bench.proxy.fresh(({ attempt }) => (attempt === 1 ? 'lost-request' : undefined));
      expect(await file.store()).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });

    it('at a put of an earlier run leaves the question whose it is', async () => {
      const file = await drop(1000);
      await file.store();
      expect(await file.store({ earlierUnanswered: true })).toMatchObject(
        bench.differences.noConditionalPuts ? { kind: 'stored' } : { kind: 'key-taken', ours: 'unknown' },
      );
    });

    it('at Complete is found out: the object is ours', async () => {
      const file = await drop(2 * partBytes);
      bench.proxy.fresh(({ operation, attempt }) =>
        operation === 'CompleteMultipartUpload' && attempt === 1 ? 'lost-answer' : undefined,
      );
      const outcome = await file.store();
      expect(outcome.kind === 'stored' || (outcome.kind === 'key-taken' && outcome.ours === 'yes')).toBe(true);
      await expectStored(file);
      expect(await leftovers(file.key)).toBe(0);
    });

    it.each([
      ['at Complete, and another upload is refused', false],
      ['in an earlier run, and this one is refused', true],
    ])('%s: whether the object is there stays in doubt', async (_what, earlierUnanswered) => {
      const file = await drop(2 * partBytes);
      if (earlierUnanswered) await file.notes.storing('of the earlier run');
      bench.proxy.fresh(({ operation, attempt }) => {
        if (operation !== 'CompleteMultipartUpload') return undefined;
        return attempt === 1 && !earlierUnanswered ? 'lost-answer' : { answer: 503, code: 'SlowDown' };
      });
      await expect(file.store({ earlierUnanswered })).rejects.toThrow('SlowDown');
      expect(file.notes.unanswered).toBe(true);
    });

    it('at a Complete that never arrived is made good', async () => {
      const file = await drop(2 * partBytes);
      bench.proxy.fresh(({ operation, attempt }) =>
        operation === 'CompleteMultipartUpload' && attempt === 1 ? 'lost-request' : undefined,
      );
      expect(await file.store()).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });

    it('at a Complete before a foreign object came is found out', async () => {
      const file = await drop(2 * partBytes);
      bench.proxy.fresh(async ({ operation, attempt }) => {
        if (operation !== 'CompleteMultipartUpload' || attempt > 1) return undefined;
        await bench.owner.send(new PutObjectCommand({ Bucket: bench.server.bucket, Key: file.key, Body: 'quicker' }));
        return 'lost-request';
      });
      const outcome = await file.store();
      expect(await leftovers(file.key)).toBe(0);
      if (bench.differences.overwritesAtComplete) {
        expect(outcome).toMatchObject({ kind: 'stored' });
        return;
      }
      expect(outcome).toMatchObject({ kind: 'key-taken', ours: 'no' });
      expect((await stored(file.key))?.toString()).toBe('quicker');
    });

    it('at Create costs an empty upload, no part', async () => {
      const file = await drop(2 * partBytes);
      bench.proxy.fresh(({ operation, attempt }) =>
        operation === 'CreateMultipartUpload' && attempt === 1 ? 'lost-answer' : undefined,
      );
      expect(await file.store()).toMatchObject({ kind: 'stored' });
      expect(await leftovers(file.key)).toBe(0);
    });

    it('at a part is made good', async () => {
      const file = await drop(3 * partBytes);
      bench.proxy.fresh(({ operation, attempt }) =>
        operation === 'UploadPart' && attempt === 1 ? 'lost-answer' : undefined,
      );
      expect(await file.store()).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });
  });
}
