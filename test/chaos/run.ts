/**
 * The chaos run: writers of all kinds against the real daemon, while processes are killed, servers restarted and the
 * network misbehaves; then quiet, and the invariants.
 *
 *     npm run test:chaos -- --seed 7 --minutes 3 [--plan] [--ceph]
 *
 * The seed decides everything, and when: a run that failed can be repeated. (What the kernel and the servers make of it
 * differs a little each time.)
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
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
const minutes = Number(values.minutes);
if (!Number.isInteger(seed) || !(minutes > 0)) {
  console.error('--seed is a whole number, --minutes a number above 0');
  process.exit(64);
}
const plan = makePlan({ seed, minutes, ownStore: !values.ceph });
if (values.plan) process.stdout.write(planText(plan));
else {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const options = { ceph: values.ceph, say: console.log, signal: interrupted.signal };
  const isFine = await runPlan(plan, options).catch((error: unknown) => {
    console.error(inspect(error, { depth: 4 }));
    return false;
  });
  process.exit(isFine ? 0 : 1); // what was interrupted may still wait for something
}
