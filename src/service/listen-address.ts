/** Where to listen for TCP connections. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const loopback = '127.0.0.1';

/** From `HOST:PORT`, `[IPv6]:PORT`, or `PORT` alone, which means loopback. Undefined where it is none of these. */
export function listenAddress(text: string): ListenAddress | undefined {
  const [, bracketed, host, port] = /^(?:(?:\[([\da-fA-F:]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) return undefined;
  return { host: bracketed ?? host ?? loopback, port: Number(port) };
}
