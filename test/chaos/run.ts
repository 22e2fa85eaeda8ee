/**
 * The chaos run: writers of all kinds against the real daemon, while processes are killed, servers restarted and the
 * network misbehaves; then quiet, and the invariants.
 *
 *     npm run test:chaos -- --seed 7 --minutes 3 [--plan] [--ceph]
 *
 * The seed decides everything, and when: a run that failed can be repeated. (What the kernel and the servers make of it
 * differs a little each time.)
 */
import { parseArgs } from 'node:util';
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
else process.exitCode = (await runPlan(plan, { ceph: values.ceph, say: console.log })) ? 0 : 1;
