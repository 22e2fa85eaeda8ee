/**
 * The chaos run: writers of all kinds against the real daemon, while processes are killed, servers restarted and the
 * network misbehaves; then quiet, and the invariants.
 *
 *     npm run test:chaos -- --seed 7 --minutes 3 [--plan] [--ceph]
 *
 * The seed decides everything, and when: a run that failed prints the command that repeats it. (What the kernel and the
 * servers make of it differs a little each time.)
 */
import { inspect, parseArgs } from 'node:util';
import { makePlan, planText } from './plan.ts';
import { runPlan } from './run-plan.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '3' },
    plan: { type: 'boolean', default: false },
    ceph: { type: 'boolean', default: false },
  },
});
/** Starting the servers, waiting until nothing waits any more, the verdict. */
const minutesForTheRest = 6;
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
const minutes = Number(values.minutes);
if (!Number.isInteger(seed) || !(minutes > 0)) {
  console.error('--seed is a whole number, --minutes a number above 0');
  process.exit(64);
}
const plan = makePlan({ seed, minutes, ownStore: !values.ceph });
if (values.plan) process.stdout.write(planText(plan));
else {
  const givenUp = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => givenUp.abort(new Error(signal)));
  const mostMinutes = minutes + minutesForTheRest;
  setTimeout(() => givenUp.abort(new Error(`not over after ${mostMinutes} minutes`)), mostMinutes * 60_000).unref();
  const options = { ceph: values.ceph, say: console.log, signal: givenUp.signal };
  const isFine = await runPlan(plan, options).catch((error: unknown) => {
    console.error(inspect(error, { depth: 4 }));
    return false;
  });
  if (!isFine) {
    console.log(`again: npm run test:chaos -- --seed ${seed} --minutes ${minutes}${values.ceph ? ' --ceph' : ''}`);
  }
  process.exit(isFine ? 0 : 1); // what was given up may still wait for something
}
