/** Makes the trouble that the plan wants, and ends it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, FaultHook } from '../../src/demo/s3-endpoint/index.ts';
import type { KeptRunning } from './kept-running.ts';
import { createRandom, type Random } from './random.ts';
import type { Stage } from './stage.ts';
import type { Trouble } from './trouble-plan.ts';

/** After they are good again the daemon may still be on its way to exit 77. */
const refusedUntilMs = 15_000;

export type Troubles = ReturnType<typeof createTroubles>;

export function createTroubles({ place, postgres, s3Server, network, login }: Stage, daemon: KeptRunning) {
  let badCredentialsUntil = 0;
  const ownStore = 'credentials' in place.store ? place.store : undefined;

  const credentials = async ({ how, forMs }: Extract<Trouble, { what: 'credentials' }>): Promise<void> => {
    if (login === undefined) return;
    if (how === 'rotated') return login.renew();
    badCredentialsUntil = Number.POSITIVE_INFINITY;
    if (how === 'revoked') login.revoke();
    else if (how === 'expired') login.expire();
    else if (how === 'half-written') await login.spoil();
    else await login.hide();
    await sleep(forMs);
    await (how === 'revoked' || how === 'expired' ? login.renew() : login.show());
    badCredentialsUntil = Date.now() + refusedUntilMs;
  };

  return {
    mayBeRefused: (): boolean => Date.now() < badCredentialsUntil,
    /** What must stand in no log. */
    secrets: (): string[] => [...(login?.secrets() ?? []), place.store.owner.secretAccessKey, 'X-Amz-Signature'],

    async make(trouble: Trouble): Promise<unknown> {
      switch (trouble.what) {
        case 'kill':
          return daemon.end('SIGKILL', trouble.downMs);
        case 'terminate':
          return daemon.end('SIGTERM', trouble.downMs);
        case 'freeze':
          daemon.signal('SIGSTOP');
          await sleep(trouble.forMs);
          return daemon.signal('SIGCONT');
        case 'reload':
          return daemon.signal('SIGHUP');
        case 'postgres-down':
          await postgres.stop(trouble.how);
          await sleep(trouble.forMs);
          return postgres.start();
        case 'postgres-drops-connections':
          await place.database.query(
            'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
          );
          return;
        case 's3-down':
          await s3Server.stop();
          await sleep(trouble.forMs);
          return s3Server.start();
        case 's3-faults':
          if (ownStore === undefined) return;
          ownStore.faults = faultsOf(createRandom(trouble.seed), trouble.oneIn);
          await sleep(trouble.forMs);
          ownStore.faults = undefined;
          return;
        case 'network':
          await network[trouble.to].change(trouble.weather);
          await sleep(trouble.forMs);
          return network[trouble.to].change({ kind: 'fair' });
        case 'credentials':
          return credentials(trouble);
      }
    },
  };
}

const faultsOf =
  (random: Random, oneIn: number): FaultHook =>
  ({ operation }) => {
    if (!random.chance(1 / oneIn)) return undefined;
    const faults: Fault[] = [
      { kind: 'status', status: 503, code: 'SlowDown' },
      { kind: 'status', status: 500, code: 'InternalError' },
      { kind: 'reset-before', afterBytes: random.pick([0, 1000]) },
      { kind: 'reset-after' },
      { kind: 'delay', ms: random.between(10, 2000) },
      ...(operation === 'CompleteMultipartUpload' ? [{ kind: 'error-in-200', code: 'InternalError' } as const] : []),
    ];
    return random.pick(faults);
  };
