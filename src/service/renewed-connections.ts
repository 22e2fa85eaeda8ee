import type { Dispatcher } from 'undici';
import { ExchangeFailed } from './http-exchange.ts';

export interface RenewedConnections extends AsyncDisposable {
  /** Sends by the connections that are in use when `act` asks for them: when it is about to, after all that it waits for. */
  send<T>(act: (connections: () => Dispatcher) => Promise<T>): Promise<T>;
}

/**
 * Where one connection stalls, the idle ones beside it are most likely as dead, and each that is tried costs a time-out.
 * So what is sent after a stall begins with new ones; what is under way ends on the old ones, which then close.
 */
export function renewConnections(open: () => Dispatcher): RenewedConnections {
  let current = open();
  const closing = new Set<Dispatcher>();

  const renew = (): void => {
    const old = current;
    current = open();
    closing.add(old);
    const forget = () => void closing.delete(old);
    old.close().then(forget, forget);
  };

  return {
    async send(act) {
      let used: Dispatcher | undefined;
      try {
        return await act(() => {
          used = current;
          return current;
        });
      } catch (error) {
        if (error instanceof ExchangeFailed && error.code === 'STALLED' && used === current) renew();
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([current, ...closing].map((dispatcher) => dispatcher.destroy()));
    },
  };
}
