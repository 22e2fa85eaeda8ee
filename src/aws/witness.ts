import type { SdkRequestHandler } from '../service/sdk-request-handler.ts';

/** What the last request to AWS came to: providers lose the cause, and their errors' names say nothing of it. */
export type LastExchange = 'none' | 'granted' | 'refused' | 'no-answer';

export interface Witness {
  readonly requestHandler: SdkRequestHandler;
  readonly last: LastExchange;
  forget(): void;
}

/** Throttling and server errors are no verdict on the credentials. */
const verdictOf = (status: number): LastExchange =>
  status < 300 ? 'granted' : status < 500 && status !== 429 && status !== 408 ? 'refused' : 'no-answer';

/** Sends as the given handler does, and remembers whether AWS answered. */
export function createWitness(handler: SdkRequestHandler): Witness {
  let last: LastExchange = 'none';
  return {
    requestHandler: {
      ...handler,
      async handle(request, options) {
        try {
          const output = await handler.handle(request, options);
          last = verdictOf(output.response.statusCode);
          return output;
        } catch (error) {
          last = 'no-answer';
          throw error;
        }
      },
    },
    get last() {
      return last;
    },
    forget() {
      last = 'none';
    },
  };
}
