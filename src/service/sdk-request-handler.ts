import type { HttpHandlerOptions, HttpRequest, HttpResponse, RequestHandler } from '@smithy/types';
import { encodeUriSegment, startExchange } from './http-exchange.ts';
import type { RenewedConnections } from './renewed-connections.ts';

export interface SdkRequestHandler extends RequestHandler<HttpRequest, HttpResponse, HttpHandlerOptions> {
  /** The SDK asks for these; there is nothing that may be set from outside. */
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
}

/**
 * Lets a client of AWS's SDK send by the connections that everything else uses, so that proxies, certificate authorities
 * and time-outs are the same. `requestTimeout` of a call is how long its answer may take.
 */
export function createSdkRequestHandler(send: RenewedConnections['send'], stallMs: number): SdkRequestHandler {
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request, { abortSignal, requestTimeout } = {}) {
      const exchange = {
        origin: originOf(request),
        path: pathAndQueryOf(request),
        method: request.method,
        headers: withoutExpect(request.headers),
        body: request.body ?? undefined,
        signal: abortSignal as AbortSignal | undefined,
        stallMs,
        ...(requestTimeout ? { answerMs: requestTimeout } : {}),
      };
      const answer = await send((connections) => startExchange(connections, exchange));
      return { response: { statusCode: answer.statusCode, headers: flat(answer.headers), body: answer.body } };
    },
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  };
}

const originOf = ({ protocol, hostname, port }: HttpRequest) =>
  `${protocol ?? 'https:'}//${hostname}${port === undefined ? '' : `:${port}`}`;

function pathAndQueryOf({ path, query = {} }: HttpRequest): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) =>
      one === null || one === undefined ? encodeUriSegment(name) : `${encodeUriSegment(name)}=${encodeUriSegment(one)}`,
    ),
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/** undici does not wait for `100 Continue`, and the SDK signs no such header. */
const withoutExpect = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'expect'));

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
}
