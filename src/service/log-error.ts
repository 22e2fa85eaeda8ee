import { DropledgerError, messageOf } from './errors.ts';

/** Causes deeper than this add nothing that a person could use. */
const maxDepth = 8;

/** What an error and everything below it say, outermost first, each message once. */
function messagesOf(error: unknown, depth = 0): string[] {
  if (error === undefined || error === null || depth > maxDepth) return [];
  if (!(error instanceof Error)) return [messageOf(error)];
  // What a `using` block suppressed came first; Node's AggregateError of a failed connect has no message of its own.
  if (error instanceof SuppressedError) {
    return [...messagesOf(error.suppressed, depth + 1), ...messagesOf(error.error, depth + 1)];
  }
  const parts = error instanceof AggregateError ? error.errors.flatMap((part) => messagesOf(part, depth + 1)) : [];
  const own = error instanceof AggregateError && error.message === '' ? [] : [messageOf(error)];
  return [...own, ...parts, ...messagesOf(error.cause, depth + 1)];
}

/** The advice of the outermost error in the chain that has one. */
function hintOf(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > maxDepth) return undefined;
  if (error instanceof DropledgerError && error.hint !== undefined) return error.hint;
  if (error instanceof SuppressedError) return hintOf(error.suppressed, depth + 1) ?? hintOf(error.error, depth + 1);
  return hintOf(error.cause, depth + 1);
}

/** The messages of an error and of its causes in one line: `S3 can't be reached: connect ECONNREFUSED 10.0.0.1:443`. */
export function describeError(error: unknown): string {
  const said: string[] = [];
  for (const message of messagesOf(error)) {
    if (!said.some((earlier) => earlier.includes(message))) said.push(message);
  }
  return said.join(': ');
}

/** The fields of a log line that reports this error: `log.warning('retrying', { path, ...errorFields(error) })`. */
export const errorFields = (error: unknown): { error: string; hint: string | undefined } => ({
  error: describeError(error),
  hint: hintOf(error),
});
