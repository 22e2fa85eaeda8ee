import { describe, expect, it } from 'vitest';
import { createS3Store } from '../../../src/s3/store-file.ts';
import { ConfigError, CredentialsError, ServiceUnavailable } from '../../../src/service/errors.ts';
import { createNetwork } from '../../../src/service/network.ts';
import { type EngineBench, partBytes } from './engine-bench.ts';

/** A store that refuses, stalls, or loses what it had. */
export function describeTrouble(bench: EngineBench): void {
  const { drop, expectStored, leftovers } = bench;

  describe('a store in trouble', () => {
    it('gets time: 503 at the first attempt of everything', async () => {
      for (const size of [1000, 3 * partBytes]) {
        const file = await drop(size);
        bench.proxy.fresh(({ attempt }) => (attempt === 1 ? { answer: 503, code: 'SlowDown' } : undefined));
        expect(await file.store()).toMatchObject({ kind: 'stored' });
        await expectStored(file);
      }
    });

    it.each([
      ['503 all the time', { answer: 503, code: 'SlowDown' }, true],
      ['500 all the time', { answer: 500, code: 'InternalError' }, true],
      ['connections that break', 'lost-request', false],
    ] as const)('is reported as unavailable: %s', async (_, fault, answered) => {
      for (const size of [1000, 2 * partBytes]) {
        const file = await drop(size);
        bench.proxy.fresh(() => fault);
        const error = await file.store().catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(ServiceUnavailable);
        expect(error).toMatchObject({ service: 's3', answered });
        bench.proxy.fresh();
      }
    });

    it.each(['hang', 'deaf'] as const)('that stalls is noticed (%s)', async (fault) => {
      await using impatient = await createNetwork({ env: {}, stallMs: 500 });
      await using store = await createS3Store({ ...bench.options(), network: impatient });
      const file = await drop(partBytes + 1);
      bench.proxy.fresh(({ operation }) => (operation === 'UploadPart' ? fault : undefined));
      const error = await file.store({}, undefined, store).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ServiceUnavailable);
      expect(error).toMatchObject({ answered: false, message: expect.stringContaining('no progress') });
      bench.proxy.fresh();
      expect(await file.store({ resume: file.notes.progress() })).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });

    it('may report an error with status 200 at Complete', async () => {
      const file = await drop(partBytes + 1);
      bench.proxy.fresh(({ operation, attempt }) =>
        operation === 'CompleteMultipartUpload' && attempt === 1 ? { answer: 200, code: 'InternalError' } : undefined,
      );
      expect(await file.store()).toMatchObject({ kind: 'stored' });
      await expectStored(file);
    });

    it('that refuses the credentials says so, and nothing is uploaded', async () => {
      const file = await drop(1000);
      bench.proxy.fresh(() => ({ answer: 403, code: 'InvalidAccessKeyId' }));
      await expect(file.store()).rejects.toBeInstanceOf(CredentialsError);
      expect(file.notes.written).toEqual(['storing', 'refused']);
    });

    it('that knows no conditional writes says so with the cure', async () => {
      const file = await drop(1000);
      bench.proxy.fresh(() => ({ answer: 501, code: 'NotImplemented' }));
      const error = await file.store().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      expect(error).toMatchObject({ hint: expect.stringContaining('s3.conditionalWrites') });
    });

    it('that loses the upload gets it anew', async () => {
      const file = await drop(4 * partBytes);
      bench.proxy.fresh(async ({ operation, part, attempt }) => {
        const upload = file.notes.progress();
        if (operation === 'UploadPart' && part === 3 && attempt === 1 && upload !== undefined) {
          await bench.s3.abort(file.key, upload.uploadId, new AbortController().signal);
        }
        return undefined;
      });
      expect(await file.store()).toMatchObject({ kind: 'stored' });
      await expectStored(file);
      expect(await leftovers(file.key)).toBe(0);
    });
  });
}
