import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { describeBrokenOff } from './engine-suite/broken-off.ts';
import { type EngineDifferences, type EngineServer, engines, useEngineBench } from './engine-suite/engine-bench.ts';
import { describeLostAnswers } from './engine-suite/lost-answers.ts';
import { describeStoredFiles } from './engine-suite/stored-files.ts';
import { describeTrouble } from './engine-suite/trouble.ts';

export type { EngineServer } from './engine-suite/engine-bench.ts';

/** What both engines owe to whoever drops a file, on any server: one object, right to the byte, or none and a reason. */
export function describeEngines(
  name: string,
  start: () => Promise<EngineServer>,
  differences: EngineDifferences = {},
  which: readonly (typeof engines)[number][] = engines,
): void {
  describe.each(which)(`${name}: %s`, (engine) => {
    const bench = useEngineBench(engine, start, differences);

    describeStoredFiles(bench);
    describeLostAnswers(bench);
    describeTrouble(bench);
    describeBrokenOff(bench);

    it('proves that it may write and leaves nothing', async () => {
      const { owner, s3, server, stored } = bench;
      await s3.probe(`${engine}/`, new AbortController().signal);
      const { Uploads = [] } = await owner.send(
        new ListMultipartUploadsCommand({ Bucket: server.bucket, Prefix: `${engine}/.dropledger` }),
      );
      expect(Uploads).toEqual([]);
      expect(await stored(`${engine}/.dropledger-check`)).toBeUndefined();
    });

    it('aborts an upload that S3 does not know as if it did', async () => {
      await expect(bench.s3.abort('never', 'bm90aGluZw', new AbortController().signal)).resolves.toBeUndefined();
    });
  });
}
