import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withAttempts } from '../../../src/s3/attempts.ts';
import { isWorthAnotherTry, S3Failure } from '../../../src/s3/failure.ts';

const answers = fc.array(
  fc.constantFrom<number | undefined>(undefined, 200, 400, 403, 404, 412, 429, 500, 501, 503, 507),
  { maxLength: 12 },
);

const failureOf = (status: number | undefined) =>
  status === undefined
    ? new S3Failure({ code: 'ECONNRESET', message: 'gone' })
    : new S3Failure({ status, code: `HTTP ${status}`, message: '' });

test('a request is tried until it succeeds, cannot, or has been tried often enough: never once more', async () => {
  await fc.assert(
    fc.asyncProperty(answers, fc.integer({ min: 1, max: 6 }), async (statuses, attempts) => {
      const told: S3Failure[] = [];
      let sent = 0;
      const request = async () => {
        const status = statuses[sent];
        sent += 1;
        if (status !== 200 && sent <= statuses.length) throw failureOf(status);
        return 'done';
      };
      const { signal } = new AbortController();
      const patience = { attempts, baseMs: 0, capMs: 0 };
      const onFailure = (failure: S3Failure) => void told.push(failure);
      const outcome = await withAttempts(request, { patience, signal, onFailure }).catch((error: unknown) => error);

      const ending = statuses.findIndex((status) => status === 200 || !isWorthAnotherTry(failureOf(status)));
      const wanted = Math.min(attempts, (ending < 0 ? statuses.length : ending) + 1);
      expect(sent).toBe(wanted);
      const succeeded = statuses[sent - 1] === 200 || sent > statuses.length;
      expect(outcome).toBe(succeeded ? 'done' : told.at(-1));
      expect(told).toHaveLength(succeeded ? sent - 1 : sent);
    }),
  );
});

test('a stop ends the wait between two tries', async () => {
  const stop = new AbortController();
  const reason = new Error('the daemon stops');
  const patience = { attempts: 5, baseMs: 3_600_000, capMs: 3_600_000 };
  const request = () => Promise.reject(failureOf(503));
  const onFailure = () => setImmediate(() => stop.abort(reason));
  await expect(withAttempts(request, { patience, signal: stop.signal, onFailure })).rejects.toBe(reason);
});
