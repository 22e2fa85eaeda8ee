/** Where a run takes place: servers, folders, and the network between them. */
import { startCeph } from '../support/ceph.ts';
import type { LocalStore, Store } from '../support/daemon-store.ts';
import { makeWorkplace, makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { createLogin, type Login } from './login.ts';
import { type NetworkWeather, startNetworkWeather } from './network-weather.ts';
import type { Settings } from './plan.ts';
import { partSizeMiB } from './writer-plan.ts';

export interface Stage extends AsyncDisposable {
  readonly place: Workplace<Store | LocalStore>;
  readonly postgres: Pick<TestPostgres, 'start' | 'stop'>;
  readonly s3Server: { stop(): Promise<unknown>; start(): Promise<unknown> };
  readonly network: { readonly s3: NetworkWeather; readonly ledger: NetworkWeather };
  /** Undefined where the store is not the project's own. */
  readonly login: Login | undefined;
  /** For the daemon. */
  readonly env: Readonly<Record<string, string>>;
}

/** With Ceph's gateway, or the project's own endpoint. */
export async function makeStage(settings: Settings, { ceph }: { readonly ceph: boolean }): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const { afterUpload, settleMs, rescanSeconds, engine, concurrency, onConflict } = settings;
  const postgres = opened.use(await startTestPostgres({ tcp: true }));
  const config = {
    dropFolder: { afterUpload, settleMs, rescanSeconds },
    s3: { engine, concurrency, partSizeMiB, onConflict },
  };
  const { place, s3Server, login } = await (ceph ? withCeph() : withOwnEndpoint());

  async function withOwnEndpoint() {
    const place = opened.use(await makeWorkplace({ postgres, config, onDisk: true }));
    const login = opened.use(await createLogin({ kind: settings.login, store: place.store, home: place.home }));
    return { place, s3Server: place.store, login };
  }

  async function withCeph() {
    const gateway = opened.use(await startCeph({ writeOnlyPrefix: 'in/' }));
    const { url, region, owner, writeOnly: writer } = gateway;
    await gateway.createBucket('chaos');
    const store: Store = { url, region, bucket: 'chaos', prefix: 'in/', owner, writer };
    const place = opened.use(await makeWorkplaceAt(store, { postgres, config }));
    return { place, s3Server: { stop: gateway.restartGateway, start: async () => undefined }, login: undefined };
  }

  const s3Port = Number(new URL(place.store.url).port);
  const s3 = opened.use(await startNetworkWeather(s3Port));
  const ledger = opened.use(await startNetworkWeather(postgres.tcpPort ?? 0));
  const endpoint = `http://127.0.0.1:${s3.port}`;
  await place.configure({ s3: { endpoint }, ledger: { host: '127.0.0.1', port: ledger.port } });
  const env: Record<string, string> = ceph ? {} : { AWS_ENDPOINT_URL_STS: endpoint, ...login?.env };
  const everything = opened.move();
  return {
    ...{ place, postgres, s3Server, network: { s3, ledger }, login, env },
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
}
