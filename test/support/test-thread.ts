/** A thread for the test of `helper-thread.ts`: its jobs are words. */
import { setTimeout as sleep } from 'node:timers/promises';
import { doJobs, giveWay } from '../../src/service/helper-thread.ts';

giveWay();

doJobs<string, string>(async (word) => {
  if (word === 'fail') throw new Error('it cannot be done');
  if (word === 'break down') process.exit(1);
  if (word === 'slowly') await sleep(50);
  return word.toUpperCase();
});
