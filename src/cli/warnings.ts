import type { EventLog } from '../model.ts';

/** A log for commands that print results: only what went wrong, one plain line each, on stderr. */
export function warningsTo(stderr: NodeJS.WritableStream): EventLog {
  const say: EventLog['warning'] = (_event, fields, message) => {
    const error = fields['error'];
    stderr.write(`dropledger: ${[message, error].filter((part) => part !== undefined).join(': ')}\n`);
  };
  return { debug: () => {}, info: () => {}, warning: say, error: say };
}
